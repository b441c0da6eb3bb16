"""A local stand-in for OpenRouter: the same wire, its own exact books, and faults on request.

A plain ASGI application without a database; see ``docs/openrouter-sandbox.md``.
"""
