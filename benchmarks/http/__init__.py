"""A load generator and an upstream that cost next to nothing, so that what is measured is what stands between them."""
