"""Usage that customers' services report: decode, price, record many requests in one statement, answer each event."""
