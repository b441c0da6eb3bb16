"""Metered prices of tiers: events priced by an operator's meters as they arrive.

``terms`` reads what a tier says, ``hits`` finds what an event adds to which meter, ``sql/metered_prices_v1.sql`` prices
it in the statement that records it, ``arrears`` says what a closed period owes.
"""
