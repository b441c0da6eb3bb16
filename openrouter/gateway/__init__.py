"""The OpenAI-compatible gateway: plain ASGI handlers, every call held before and settled after. See docs/gateway.md."""
