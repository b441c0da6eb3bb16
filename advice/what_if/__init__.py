"""Replaying recorded usage under other terms: pure where it computes, in pages where it reads."""
