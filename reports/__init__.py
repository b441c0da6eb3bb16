"""Reports of usage, sent by e-mail every week or month."""
