"""Interaction indices: linear functions of a spectrum, one table."""

from spexlens.indices.table import INDICES, Index, compute_index, find_index

__all__ = ["INDICES", "Index", "compute_index", "find_index"]
