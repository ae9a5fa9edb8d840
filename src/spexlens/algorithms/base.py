"""The algorithm contract: design the masks, recover a spectrum from their values. Both are pure.

An algorithm never sees a model. It is a frozen bag of hyper-parameters; everything that depends on
data flows through `Design` and `Recovery`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from spexlens.core.masks import (
    BoolArray,
    FloatArray,
    IntArray,
    as_masks,
    read_only,
    sample_masks,
)
from spexlens.core.presence import contradicts, learn_keep_probability, presence_in_words
from spexlens.core.sensitivities import Sensitivities
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.core.units import Units
from spexlens.errors import InvalidInputError

MIN_MASKS = 4  # fewer values cannot be split into a part to fit and a part to judge


@dataclass(frozen=True, eq=False)
class Design:
    """The masks to measure, and how they were made.

    Attributes
    ----------
    masks : bool array (m, n)
        All masks to measure, distinct.
    p : float or float array (n,)
        Keep probability they were drawn with, and so the basis of the spectrum.
    seed : int
        Seeds every random choice of `recover` (folds, trees).
    held_out : int
        The last so many masks are kept from `recover`, to judge its result.
    structure : object, optional
        What the algorithm needs to know of the masks it made.
    notes : tuple of str
        Choices a user should hear of.
    groups : int array (m,), optional
        Masks of one group share a part (a trained model): folds and intervals keep them together.
    sensitivities : Sensitivities, optional
        Derivatives of the score by the players' gates, which some algorithms use (`UsesGradients`).
    """

    masks: BoolArray
    p: float | FloatArray = 0.5
    seed: int = 0
    held_out: int = 0
    structure: Any = None
    notes: tuple[str, ...] = ()
    groups: IntArray | None = None
    sensitivities: Sensitivities | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "masks", read_only(as_masks(self.masks)))
        if self.groups is not None:
            groups = np.asarray(self.groups, dtype=np.int64)
            if groups.shape != (len(self.masks),):
                raise InvalidInputError(
                    f"groups of shape {groups.shape} given; needed one for each of "
                    f"{len(self.masks)} masks."
                )
            object.__setattr__(self, "groups", read_only(groups))

    @property
    def n(self) -> int:
        """Number of players."""
        return int(self.masks.shape[1])

    @property
    def fitted(self) -> slice:
        """The rows `recover` may use."""
        return slice(0, len(self.masks) - self.held_out)

    @property
    def fitted_groups(self) -> IntArray | None:
        """The groups of these rows."""
        return None if self.groups is None else self.groups[self.fitted]

    def take(self, rows: IntArray, held_out: int = 0) -> Design:
        """Return the design with only the masks of `rows`; its structure holds no longer."""
        groups = None if self.groups is None else self.groups[rows]
        masks = self.masks[rows]
        return replace(self, masks=masks, held_out=held_out, structure=None, groups=groups)


@dataclass(frozen=True, eq=False)
class Recovery:
    """What an algorithm made of the values.

    Attributes
    ----------
    spectrum : FourierSpectrum
    tuned : Algorithm
        The same algorithm with its data-driven choices fixed: what cross-validation refits.
    chosen : mapping
        Those choices by name, for people (`{"depth": 3, "trees": 500}`).
    scaled : tuple of str
        Which of them are in the units of the values.
    notes : tuple of str
        What was downgraded or deserves a second look.
    out_of_fold : float array (rows of `Design.fitted`,), optional
        Prediction of every fitted row by a fit that did not see it (folds of `proxies.folds`),
        where the algorithm has them anyway; otherwise cross-validation refits `tuned`.
    std_errors : callable, optional
        Standard errors `(K,)` of the coefficients of any K sets, also of those the spectrum leaves
        out; for algorithms with a posterior.
    """

    spectrum: FourierSpectrum
    tuned: Algorithm
    chosen: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    out_of_fold: FloatArray | None = None
    std_errors: Callable[[Supports], FloatArray] | None = None
    scaled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "chosen", MappingProxyType(dict(self.chosen)))

    def in_units(self, units: Units) -> Recovery:
        """Return what was recovered from `units.computed(values)` as a recovery from the values."""
        if units.plain:
            return self
        offset, scale = float(units.offset[0]), float(units.scale[0])
        known = self.spectrum.std_errors is not None
        constant = FourierSpectrum.from_dict({(): offset}, self.spectrum.n, self.spectrum.p)
        constant = replace(constant, std_errors=np.zeros(1) if known else None)
        errors, predicted = self.std_errors, self.out_of_fold
        return replace(
            self,
            spectrum=self.spectrum.scale(scale) + constant,
            chosen={k: v * scale if k in self.scaled else v for k, v in self.chosen.items()},
            out_of_fold=None if predicted is None else offset + scale * predicted,
            std_errors=None if errors is None else lambda supports: scale * errors(supports),
        )


class MaskDesign(Protocol):
    """How masks are drawn: `random_design`, a `SplitPlot`, or the `design` of an algorithm."""

    def __call__(
        self, n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5, /
    ) -> Design:
        """Draw at most `budget` distinct masks over n players at keep probability p.

        Raises
        ------
        InvalidInputError
            Where the budget is too small, or p is none that the design can draw with.
        """
        ...


class FitCost(NamedTuple):
    """What a fit and its judgement may take on this machine; nothing worth telling is 0.

    Attributes
    ----------
    seconds : float
        Of one core's work; see `spexlens.algorithms.machine` for what steps take here.
    memory : float
        Bytes at the peak.
    judging : float
        Seconds of these that refits by the tuned algorithm take, which judge the fit.
    """

    seconds: float = 0.0
    memory: float = 0.0
    judging: float = 0.0


@runtime_checkable
class Algorithm(Protocol):
    """A frozen dataclass of hyper-parameters with pure functions.

    Attributes
    ----------
    name : str
        Its key in `spexlens.ALGORITHMS`.
    any_masks : bool
        `recover` works on masks of any design, not only on those of its own.
    exact : bool
        It takes all 2^n masks and estimates nothing: nothing is held out or left to judge.
    """

    name: ClassVar[str]
    any_masks: ClassVar[bool]
    exact: ClassVar[bool]

    def design(
        self, n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5, /
    ) -> Design:
        """Draw the masks it works best on; see `MaskDesign`."""
        ...

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Recover a spectrum from the values `(m,)` or `(m, q)` of all the design's masks.

        Rows beyond `design.fitted` must not be used.
        """
        ...

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Estimate what `recover` takes for so many ablations of n players."""
        ...


@runtime_checkable
class UsesGradients(Protocol):
    """An algorithm whose `recover` makes use of `Design.sensitivities`."""

    uses_gradients: ClassVar[bool]


@runtime_checkable
class Demanding(Protocol):
    """An algorithm that needs more than numpy and scipy, or whose settings may not fit together."""

    def check(self) -> None:
        """Raise, before anything is measured, what `recover` would raise at its start.

        Raises
        ------
        MissingExtraError
            Where a package is not installed.
        InvalidInputError
            Where the settings do not fit together.
        """
        ...


def draw_seed(rng: np.random.Generator) -> int:
    """Draw a seed for `Design.seed`."""
    return int(rng.integers(2**31, dtype=np.int64))


def random_design(
    n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5
) -> Design:
    """Draw distinct masks at keep probability p: the design of every regression-type algorithm.

    Where there are too few distinct masks for that, the design's p is what they truly keep.
    """
    if budget < MIN_MASKS:
        raise InvalidInputError(
            f"budget = {budget} given; a fitted proxy needs at least {MIN_MASKS} ablations "
            f"(about {suggested_budget(n)} for {n} players)."
        )
    masks, seed = sample_masks(n, budget, rng, p), draw_seed(rng)
    if not contradicts(masks, p):
        return Design(masks, p=p, seed=seed)
    note = (
        f"{budget} distinct masks of {n} players cannot be had at keep probability p = {p}: those "
        f"drawn {presence_in_words(masks)}, and effects are told at that."
    )
    return Design(masks, p=learn_keep_probability(masks), seed=seed, notes=(note,))


def suggested_budget(n: int) -> int:
    """Suggest `2 n log2 n` ablations (ProxySPEX, arXiv 2505.17495, section 5), at most all 2^n."""
    suggestion = max(32, round(2 * n * math.log2(max(n, 2))))
    return min(suggestion, 2**n) if n < 24 else suggestion
