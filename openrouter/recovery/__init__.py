"""Calls that ended without a bill: settled from the provider's own record, exactly once, however long it takes.

A call is left behind when its process dies, when its answer is lost, or when its answer does not say what it cost. Its
hold stays until the provider has told: by the generation's record, or by what the key has used in all.
"""

from openrouter.recovery.run import Recovery, recover_calls

__all__ = ["Recovery", "recover_calls"]
