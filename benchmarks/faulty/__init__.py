"""Families of faults, one a module; `benchmarks/faults.py` runs them."""
