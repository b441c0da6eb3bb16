"""Analytics: usage by any dimensions over any range, read from the sums."""
