"""Comparing our books with the provider's, to the last digit.

There is no tolerance. What differs for a known reason is shown to differ by exactly that reason (a call that is just
running, a call over midnight, a host with prices of its own); everything else is a row in ReconciliationDifference.
"""

from openrouter.reconciliation.run import Report, reconcile

__all__ = ["Report", "reconcile"]
