"""Measurements: each runs its limit or its peer beside it in the same run, in turn, and reports the ratio."""
