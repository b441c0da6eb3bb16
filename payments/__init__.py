"""Money from outside: payments, saved ways to pay, discounts, automatic top-ups, and what providers report."""
