"""What starts and tests Farebox on one machine; standard library only."""
