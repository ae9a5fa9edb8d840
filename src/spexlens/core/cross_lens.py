"""Interactions of a joint game by lens: within one, across several, and the paths between two.

Every lens owns a stretch of the players, its block: `game.lens.blocks`, or of a finished run
`explanation.manifest["game"]["lenses"]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from spexlens._support.visible import visible
from spexlens.core.decimals import decimals
from spexlens.core.interactions import Z90, Interactions
from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.errors import InvalidInputError, UnknownNameError

Blocks = Mapping[str, range | Sequence[int]]
"""Name of a lens -> its players, as a range or as (first, end)."""

CARRIES, MAKES_UP = "carries", "makes up"
MEANS = ("BV", "BII", "WBII", "SV", "SII")
"""Indices of which a player's own effect is its mean over the others, pairs counted in."""


@dataclass(frozen=True)
class LensEnergy:
    """The variance that sets over one combination of lenses explain.

    Attributes
    ----------
    lenses : tuple of str
        Every set has members in each of these lenses and in no other.
    energy : float
        Sum of squared Fourier coefficients, in squared units of the game's values.
    share : float
        Of the energy of all non-empty sets; NaN where there is none.
    std_err : float or None
        Of the share, to first order, the coefficients' errors taken as independent; None without
        standard errors.
    """

    lenses: tuple[str, ...]
    energy: float
    share: float
    std_err: float | None

    def __str__(self) -> str:
        text = f"{visible(' × '.join(self.lenses))}: {self.share:.1%} of the variance explained"
        if self.std_err is None:
            return text
        low, high = self.share - Z90 * self.std_err, self.share + Z90 * self.std_err
        return f"{text}, 90 % interval {max(low, 0.0):.1%} … {min(high, 1.0):.1%}"


@dataclass(frozen=True)
class Path:
    """A pair of a player and a component (or another lens's player) that it acts through.

    Attributes
    ----------
    player, through : str
    effect : float
        Of having both together, beyond what each does.
    std_err : float or None
    kind : "carries" or "makes up"
        Whether the effect has the sign of what the player does in the full input, so that it acts
        through the other, or the opposite one, so that one stands in where the other is absent.
    """

    player: str
    through: str
    effect: float
    std_err: float | None
    kind: str

    @property
    def holds_zero(self) -> bool | None:
        """Whether the 90 % interval holds zero; None without a standard error."""
        return None if self.std_err is None else abs(self.effect) <= Z90 * self.std_err

    def __str__(self) -> str:
        written = decimals([self.effect])
        text = f"{visible(self.through)} {self.kind} {written(self.effect)}"
        if self.std_err is None:
            return text
        half = Z90 * self.std_err
        doubtful = " (holds zero)" if self.holds_zero else ""
        low, high = written(self.effect - half), written(self.effect + half)
        return f"{text}, 90 % interval {low} … {high}{doubtful}"


def as_blocks(blocks: Blocks, n: int) -> dict[str, range]:
    """Return the blocks as ranges, checked to hold each of n players once.

    Raises
    ------
    InvalidInputError
        For fewer than two blocks, an empty one, and for players in none or in two.

    Examples
    --------
    >>> as_blocks({"words": [0, 2], "heads": range(2, 5)}, 5)
    {'words': range(0, 2), 'heads': range(2, 5)}
    """
    try:
        made = {
            name: block if isinstance(block, range) else range(*map(int, block))
            for name, block in blocks.items()
        }
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"blocks {blocks!r} given; needed the name of each lens with a range, or with its "
            "first player and the one after its last."
        ) from error
    owners = np.zeros(n, dtype=np.int64)
    inside = all(0 <= block.start < block.stop <= n for block in made.values())
    for block in made.values() if inside else ():
        owners[block.start : block.stop] += 1
    if len(made) < 2 or not inside or not (owners == 1).all():
        told = ", ".join(f"{name} {block.start} … {block.stop - 1}" for name, block in made.items())
        raise InvalidInputError(
            f"blocks {told or 'of no lens'} given for {n} players; needed two or more that hold "
            "each player once, as game.lens.blocks of the same joint game."
        )
    return made


def within(interactions: Interactions, blocks: Blocks, lens: str | None = None) -> Interactions:
    """Return the sets of two or more players that lie in one lens, any or the one given.

    Examples
    --------
    >>> found = Interactions.from_dict({(0, 1): 1.0, (1, 2): 2.0}, "FBII", ["a", "b", "L0.H0"])
    >>> within(found, {"words": [0, 2], "heads": [2, 3]}).to_dict()
    {(0, 1): 1.0}
    """
    made = as_blocks(blocks, interactions.supports.n)
    members = _members(interactions.supports, made)
    keep = ((members > 0).sum(axis=1) == 1) & (members.sum(axis=1) > 1)
    if lens is not None:
        keep &= members[:, _numbers(made, [lens])[0]] > 0
    return interactions.select(keep)


def across(
    interactions: Interactions, blocks: Blocks, lenses: Sequence[str] | None = None
) -> Interactions:
    """Return the sets with members in several lenses: in exactly those given, if any are.

    Examples
    --------
    >>> found = Interactions.from_dict({(0, 1): 1.0, (1, 2): 2.0}, "FBII", ["a", "b", "L0.H0"])
    >>> across(found, {"words": [0, 2], "heads": [2, 3]}).to_dict()
    {(1, 2): 2.0}
    """
    made = as_blocks(blocks, interactions.supports.n)
    touched = _members(interactions.supports, made) > 0
    if lenses is None:
        return interactions.select(touched.sum(axis=1) > 1)
    wanted = np.isin(np.arange(len(made)), _numbers(made, lenses))
    if wanted.sum() < 2:
        raise InvalidInputError(
            f"lenses = {list(lenses)} given; needed two or more different ones of "
            f"{', '.join(made)}."
        )
    return interactions.select((touched == wanted).all(axis=1))


def energy_by_lenses(spectrum: FourierSpectrum, blocks: Blocks) -> tuple[LensEnergy, ...]:
    """Split the explained variance by the lenses that sets have members in, largest first.

    Examples
    --------
    >>> spectrum = FourierSpectrum.from_dict({(0,): 1.0, (0, 1): 2.0, (0, 2): 2.0}, 3)
    >>> for part in energy_by_lenses(spectrum, {"words": [0, 2], "heads": [2, 3]}):
    ...     print(part)
    words: 55.6% of the variance explained
    words × heads: 44.4% of the variance explained
    """
    made = as_blocks(blocks, spectrum.n)
    touched = _members(spectrum.supports, made) > 0
    plain, factor = spectrum.squarable()
    energies, errors = plain.coefficients**2, plain.std_errors
    used = touched.any(axis=1)
    total = float(energies[used].sum())
    found = []
    for pattern in np.unique(touched[used], axis=0):
        own = (touched == pattern).all(axis=1)
        energy = float(energies[own].sum())
        share = energy / total if total else float("nan")
        error = None
        if errors is not None and total:
            slopes = 2 * plain.coefficients * (own - share) / total
            error = float(np.linalg.norm(slopes[used] * errors[used]))
        names = tuple(name for name, there in zip(made, pattern, strict=True) if there)
        found.append(LensEnergy(names, energy * factor * factor, share, error))
    return tuple(sorted(found, key=lambda part: -part.share))


def paths(
    interactions: Interactions, blocks: Blocks, player: int, *, through: str
) -> tuple[Path, ...]:
    """Return the players of another lens through which one acts, or that make up for it.

    Parameters
    ----------
    interactions : Interactions
        FBII, or WBII where p is not 1/2, reads best: an effect is what having both adds.
    blocks : mapping
    player : int
        Number of the word or training example.
    through : str
        The other lens.

    Returns
    -------
    tuple of Path
        Its pairs with players of `through`, strongest first.

    Raises
    ------
    InvalidInputError
        For a player that does not exist or is one of `through`, and for an unknown lens.

    Examples
    --------
    >>> effects = {(0,): 0.5, (0, 1): 2.0, (0, 2): -0.5}
    >>> found = Interactions.from_dict(effects, "FBII", ["dog: foo", "L0.H0", "L0.H1"])
    >>> for path in paths(found, {"words": [0, 1], "heads": [1, 3]}, 0, through="heads"):
    ...     print(path)
    L0.H0 carries +2.000
    L0.H1 makes up -0.500
    """
    supports = interactions.supports
    made = as_blocks(blocks, supports.n)
    _numbers(made, [through])
    other = made[through]
    if not isinstance(player, Integral) or not 0 <= player < supports.n or player in other:
        raise InvalidInputError(
            f"player {player!r} given; needed a player's number, 0 … {supports.n - 1}, none of "
            f"{through!r}, {other.start} … {other.stop - 1}."
        )
    holding, does = supports.containing(player), float(total_effects(interactions)[player])
    mine = interactions.select(holding & (supports.orders() == 2))
    labels, found = interactions.labels(), []
    for row in mine.ranking().tolist():
        left, right = mine.supports.groups[0][row].tolist()
        partner = right if left == player else left
        if partner not in other:
            continue
        effect = float(mine.effects[row])
        error = None if mine.std_err is None else float(mine.std_err[row])
        kind = CARRIES if effect * does >= 0 else MAKES_UP
        found.append(Path(labels[player], labels[partner], effect, error, kind))
    return tuple(found)


def total_effects(interactions: Interactions) -> FloatArray:
    """Sum what every player does, `(n,)`: what its removal takes from the full input.

    Indices whose effects are means over the other players (`MEANS`) have it as the player's own
    effect, over masks like those that the index averages over.

    >>> effects = {(0,): 1.0, (0, 1): -3.0}
    >>> total_effects(Interactions.from_dict(effects, "FBII", "ab")).tolist()
    [-2.0, -3.0]
    >>> total_effects(Interactions.from_dict(effects, "WBII", "ab")).tolist()
    [1.0, 0.0]
    """
    done = np.zeros(interactions.supports.n)
    for group, part in interactions.supports.slices():
        if group.shape[1] == 1 or interactions.index not in MEANS:
            np.add.at(done, group, interactions.effects[part][:, None])
    return done


def _members(supports: Supports, blocks: Mapping[str, range]) -> IntArray:
    """How many players of every lens each set holds, `(K, lenses)`."""
    edges = np.array([block.start for block in blocks.values()])
    order = np.argsort(edges)
    members = np.zeros((len(supports), len(blocks)), dtype=np.int64)
    for group, part in supports.slices():
        owner = order[np.searchsorted(edges[order], group, side="right") - 1]
        for lens in range(len(blocks)):
            members[part, lens] = (owner == lens).sum(axis=1)
    return members


def _numbers(blocks: Mapping[str, range], names: Sequence[str]) -> list[int]:
    known = list(blocks)
    for name in names:
        if name not in blocks:
            raise UnknownNameError("lens", name, blocks)
    return [known.index(name) for name in names]
