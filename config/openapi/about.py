"""What the API reference says before its first endpoint."""

ABOUT = """\
Prepaid credits, usage metering and cost control for products built on LLMs.

* **Key**: `Authorization: Bearer fbx_live_…`, from the page *API keys* or `POST /api/v1/api-keys`.
  `fbx_test_…` keys reach books of their own and a stand-in of the provider.
* **Gateway**: OpenAI's and OpenRouter's clients work with the base URL `/api/v1` of this server, and get errors in
  their own shape.
* **Money** is USD as decimal text, exact to 12 places (the gateway's reads have numbers, as OpenRouter writes them).
* **Errors** elsewhere are problem details (RFC 9457); `code` is stable, [listed here](/api/docs/errors/).
* **Sending twice**: a POST that knows the header `Idempotency-Key`, as all that move money do, is carried out once for
  each key and answered the same again; another body under the same key is a 422.
* **Lists** come in pages: `limit`, and `next` of an answer leads on. Unknown parameters are refused.
"""
