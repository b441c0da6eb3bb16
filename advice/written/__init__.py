"""Advice that a language model writes from an organization's figures."""
