"""Training examples as players."""
