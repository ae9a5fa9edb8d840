"""spexlens."""
