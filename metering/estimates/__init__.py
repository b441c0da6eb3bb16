"""What a call will cost, told before it is made: likely, in all but one of twenty cases, and at most."""
