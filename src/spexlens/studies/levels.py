"""Coarse to fine: paragraphs first, then sentences inside those that matter, then words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from spexlens.ablation.evaluate import Progress
from spexlens.ablation.interruption import interrupts_held
from spexlens.ablation.store import StoreLike
from spexlens.algorithms.base import MIN_MASKS, Algorithm
from spexlens.core.game import Game
from spexlens.core.masks import FloatArray, Rng, as_generator
from spexlens.errors import AblationError, InterruptedRunError, InvalidInputError
from spexlens.explanation.explain import explain
from spexlens.explanation.planning import enumerable
from spexlens.explanation.result import Explanation
from spexlens.lenses.text.segmenters import Segmenter, segment
from spexlens.lenses.text.spans import Span, as_text

LEVELS: tuple[str, ...] = ("paragraphs", "sentences", "words")


@dataclass(frozen=True, eq=False)
class Level:
    """One step of the refinement: its players, of this granularity and of the coarser ones.

    Attributes
    ----------
    spans : tuple of (start, end)
        The players, in order.
    depths : tuple of int
        For every player, the number of the level that cut it: 0 is the coarsest.
    explanation : Explanation
        Of these players; pieces that are none of them were always present.
    refined : tuple of int
        The players that the next level cuts further; empty for the last.
    """

    spans: tuple[Span, ...]
    depths: tuple[int, ...]
    explanation: Explanation
    refined: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class CoarseToFine:
    """Explanations of one text from the coarsest players to the finest.

    Attributes
    ----------
    levels : tuple of Level
    calls : int
        Ablations made in all.
    """

    levels: tuple[Level, ...]
    calls: int

    @property
    def explanation(self) -> Explanation:
        """That of the last level, whose players are of all granularities: words in the sentences
        that matter beside the whole paragraphs that matter less, and what acts between them."""
        return self.levels[-1].explanation


def explain_by_levels(
    text: str,
    game_of: Callable[[Sequence[Span]], Game],
    budget: int,
    levels: Sequence[str | Segmenter] = LEVELS,
    algorithm: str | Algorithm = "auto",
    rng: Rng = None,
    *,
    share: float = 0.8,
    most: int = 6,
    keep: int = 24,
    store: StoreLike | None = None,
    progress: Progress | None = None,
) -> CoarseToFine:
    """Explain a long text under one budget: first its coarse pieces, then parts of those.

    After each level the players are ranked by their share of the spectrum's energy, alone and in
    interactions (the index Influence). The strongest that together hold `share` of it are cut into
    the pieces of the next level; the `keep` strongest of the others stay players as they are, so
    that interactions across granularities are found; the rest is always present from then on.

    Parameters
    ----------
    text : str
    game_of : callable
        The game whose players are given spans of `text`, everything else always present:
        `lambda spans: prompt_game(model, text, template, answers=…, segmenter=spans)`.
    budget : int
        Ablations of all levels together; each gets an equal share of what is left.
    levels : sequence of str or callable
        Segmenters, the coarsest first; see `spexlens.lenses.text.segmenters.SEGMENTERS`.
    algorithm, rng, store, progress
        As in `explain`; `progress` is that of the level under way.
    share : float, default 0.8
        Of the energy that is refined, within 0 and 1.
    most : int, default 6
        Players refined at a level, at most.
    keep : int, default 24
        Players kept unrefined beside them, at most.

    Returns
    -------
    CoarseToFine

    Raises
    ------
    InvalidInputError
        For no levels, or a budget of less than a few ablations a level.
    AblationError
        When the game of a level fails, with its masks and values. On this and any other error
        after the first level, `levels` is the tuple of those that are done.

    Examples
    --------
    >>> from spexlens import FunctionGame
    >>> text = "A b. C d.\\n\\nE f. G h."
    >>> def game_of(spans):
    ...     names = [text[start:end] for start, end in spans]
    ...     at = [i for i, name in enumerate(names) if "C" in name]
    ...     return FunctionGame(lambda masks: 1.0 * masks[:, at[0]], names)
    >>> found = explain_by_levels(text, game_of, 64, rng=0)
    >>> [level.explanation.players[level.refined[0]] for level in found.levels[:2]]
    ['A b. C d.', 'C d.']
    >>> found.explanation.interactions("BV").top(1).to_dict()
    {(0,): 1.0}
    """
    as_text(text)
    if not levels or budget < MIN_MASKS * len(levels):
        raise InvalidInputError(
            f"budget = {budget} given for {len(levels)} levels; needed at least one level, and "
            f"{MIN_MASKS} ablations for each."
        )
    generator = as_generator(rng)
    spans = segment(text, levels[0])
    depths: tuple[int, ...] = (0,) * len(spans)
    done: list[Level] = []
    calls = 0
    with _levels_on_errors(done):
        for depth in range(len(levels)):
            allowed = (budget - calls) // (len(levels) - depth)
            # Few pieces are measured exhaustively, whatever the algorithm is for the others.
            chosen = "auto" if enumerable(len(spans), allowed) else algorithm
            explanation = explain(
                game_of(spans), allowed, chosen, generator, store=store, progress=progress
            )
            calls += explanation.calls
            last = depth == len(levels) - 1
            refined, kept = ((), ()) if last else _chosen(_energy(explanation), share, most, keep)
            done.append(Level(spans, depths, explanation, refined))
            if last or not refined:
                break
            spans, depths = _next(text, done[-1], levels[depth + 1], kept)
    return CoarseToFine(tuple(done), calls)


@contextmanager
def _levels_on_errors(done: list[Level]) -> Iterator[None]:
    """Put the levels that are done on every error and interruption within it, and say so."""
    try:
        yield
    except BaseException as error:
        if not done:
            raise
        with interrupts_held():
            told = f"The levels before, {len(done)} of them, are on this error as .levels."
            raised = error
            if isinstance(error, KeyboardInterrupt) and not isinstance(error, AblationError):
                last = done[-1].explanation
                raised = InterruptedRunError("stopped between levels.", last.masks, last.values)
            raised.levels = tuple(done)  # type: ignore[attr-defined]
            raised.add_note(told)
            if raised is error:
                raise
            raise raised from error


def _energy(explanation: Explanation) -> FloatArray:
    """Energy of the coefficients that each player is in, `(n,)`."""
    influence = explanation.interactions("Influence")
    return np.array([influence.get((i,), 0.0) for i in range(len(explanation.players))])


def _chosen(
    energy: FloatArray, share: float, most: int, keep: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the players to refine, and those to keep as they are."""
    order = np.argsort(-energy, kind="stable")
    held = np.cumsum(energy[order]) / (energy.sum() or 1.0)
    count = min(most, int(np.searchsorted(held, share - 1e-12)) + 1)
    positive = [i for i in order.tolist() if energy[i] > 0]
    return tuple(sorted(positive[:count])), tuple(sorted(positive[count : count + keep]))


def _next(
    text: str, level: Level, segmenter: str | Segmenter, kept: Sequence[int]
) -> tuple[tuple[Span, ...], tuple[int, ...]]:
    """Spans of the next level's players in order, and the level that cut each of them."""
    pieces: list[tuple[Span, int]] = [(level.spans[i], level.depths[i]) for i in kept]
    for i in level.refined:
        start, end = level.spans[i]
        depth = max(level.depths) + 1
        pieces += [((start + a, start + b), depth) for a, b in segment(text[start:end], segmenter)]
    pieces.sort()
    return tuple(span for span, _ in pieces), tuple(depth for _, depth in pieces)
