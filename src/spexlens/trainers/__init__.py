"""Trainers: fit a model on thousands of subsets of the same examples, mostly all at once."""
