"""REST API of the meter: sums and single events."""
