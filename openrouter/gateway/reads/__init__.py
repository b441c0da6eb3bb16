"""The gateway's reading routes, in OpenRouter's shapes: models, the calling key, credits, single calls."""
