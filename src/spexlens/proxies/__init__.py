"""Regressors from masks to values whose spectrum can be read."""
