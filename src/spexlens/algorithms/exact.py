"""The reference: measure all 2^n masks and transform them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spexlens.algorithms.base import Design, FitCost, Recovery, draw_seed
from spexlens.core.game import score_column
from spexlens.core.masks import FloatArray, all_masks, keep_probabilities
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import collect_terms
from spexlens.errors import InvalidInputError


@dataclass(frozen=True)
class Exact:
    """All 2^n masks, every coefficient. Exponential: for up to about 20 players."""

    name: ClassVar[str] = "exact"
    any_masks: ClassVar[bool] = False
    exact: ClassVar[bool] = True

    def design(
        self, n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5
    ) -> Design:
        """Take all masks, whatever p: it is that of the basis.

        Raises
        ------
        InvalidInputError
            Where the budget does not hold them.
        """
        masks = all_masks(n)
        if budget < len(masks):
            raise InvalidInputError(
                f"budget = {budget} given; the exact algorithm needs all 2^{n} = {len(masks)} "
                "masks. Raise the budget or choose another algorithm."
            )
        return Design(masks, p=p, seed=draw_seed(rng))

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Transform the values in full, O(n 2^n)."""
        if len(design.masks) != 2**design.n or not (design.masks == all_masks(design.n)).all():
            raise InvalidInputError(
                f"{len(design.masks)} masks given; the exact algorithm needs all 2^{design.n} in "
                "the order of spexlens.core.masks.all_masks. Use another algorithm for a sample."
            )
        coefficients = full_transform(score_column(values), design.p)
        sets = design.masks
        orders = sets.sum(axis=1)
        terms = []
        for order in range(design.n + 1):
            chosen = np.flatnonzero(orders == order)
            rows = np.nonzero(sets[chosen])[1].reshape(len(chosen), order)
            terms.append((rows, coefficients[chosen]))
        spectrum = FourierSpectrum(*collect_terms(design.n, terms), p=design.p)
        return Recovery(spectrum, self, {"terms": len(spectrum)})

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Count nothing: a fit takes seconds."""
        return FitCost()


def full_transform(values: FloatArray, p: float | FloatArray) -> FloatArray:
    """Compute all 2^n coefficients of the values of `all_masks(n)`, in the same order of sets.

    One butterfly a player: with a the value where it is absent and b where it is present,
    `E[f] = (1 - p) a + p b` and `E[f phi] = sqrt(p (1 - p)) (a - b)`.
    """
    n = len(values).bit_length() - 1
    result = np.array(values, dtype=np.float64)
    for player, keep in enumerate(keep_probabilities(p, n)):
        cube = result.reshape(-1, 2, 2**player)
        absent, present = cube[:, 0].copy(), cube[:, 1].copy()
        cube[:, 0] = (1 - keep) * absent + keep * present
        cube[:, 1] = np.sqrt(keep * (1 - keep)) * (absent - present)
    return result


def full_variances(variances: FloatArray, p: float | FloatArray) -> FloatArray:
    """Compute the variances of all 2^n coefficients from those of the values, independent ones.

    The butterflies of `full_transform`, their weights squared.
    """
    n = len(variances).bit_length() - 1
    result = np.array(variances, dtype=np.float64)
    for player, keep in enumerate(keep_probabilities(p, n)):
        cube = result.reshape(-1, 2, 2**player)
        absent, present = cube[:, 0].copy(), cube[:, 1].copy()
        cube[:, 0] = (1 - keep) ** 2 * absent + keep**2 * present
        cube[:, 1] = keep * (1 - keep) * (absent + present)
    return result
