"""Budgets: what usage may come to in a window of time, told of and perhaps enforced."""
