"""A game that answers mask by mask, refuses some for good, and may fail at others."""

import numpy as np

from spexlens.errors import TransientError


class FilteredGame:
    """Values of `truth`, NaN where `refuses(masks)`, an error where `fails(masks)`.

    Masks come in one by one, those that fail last; `asked` holds how often each was asked for.
    """

    def __init__(self, truth, n, refuses=None, fails=None, error=None, skips=True):
        nowhere = lambda masks: np.zeros(len(masks), dtype=bool)  # noqa: E731
        self.players = tuple(f"x{i}" for i in range(n))
        self.truth, self.skips_refused = truth, skips
        self.refuses, self.fails = refuses or nowhere, fails or nowhere
        self.error = error or TransientError("busy")
        self.asked = {}

    def __call__(self, masks):
        values = np.asarray(self.truth(masks), dtype=float)
        values[self.refuses(masks)] = np.nan
        return values

    def stream(self, masks):
        values, failing = self(masks), self.fails(masks)
        for row in np.argsort(failing, kind="stable"):
            key = masks[row].tobytes()
            self.asked[key] = self.asked.get(key, 0) + 1
            if failing[row]:
                raise self.error
            yield np.array([row]), values[[row]]

    def identity(self):
        return {"game": "filtered"}
