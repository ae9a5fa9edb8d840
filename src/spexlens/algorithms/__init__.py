"""Algorithms: choose the masks, recover a sparse spectrum from their values."""
