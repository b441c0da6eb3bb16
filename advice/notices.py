"""News of the advice in words."""
