"""The component lens: heads, MLPs, neurons and layers of a model are the players."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks
from spexlens.core.slopes import Slopes
from spexlens.errors import InvalidInputError, NoDerivativeError
from spexlens.lenses.base import LensGame
from spexlens.lenses.components.questions import Question, as_questions
from spexlens.lenses.components.scores import (
    ComparesWithFull,
    ComponentScore,
    QuestionScore,
    find_score,
)
from spexlens.lenses.score import is_flat_at_full
from spexlens.models.gating.replacement import RESAMPLE
from spexlens.models.gating.runner import GatedRunner, gated_runner
from spexlens.models.gating.sites import SITES, Site, named
from spexlens.models.pretrained.causal_lm import CausalLM, as_causal
from spexlens.models.pretrained.encoder import Encoder
from spexlens.models.pretrained.generative import Generative


@dataclass(frozen=True)
class ComponentLens:
    """Closes the gates of absent components.

    Parameters
    ----------
    sites : tuple of Site
        From `spexlens.models.gating.sites`; they must not overlap.

    Examples
    --------
    >>> lens = ComponentLens((Site("L0.H0", 0, "o_proj", "input", range(0, 8)),))
    >>> lens.players
    ('L0.H0',)
    >>> lens.intervene(np.array([[True], [False]])).gates.tolist()
    [[1.0], [0.0]]
    """

    sites: tuple[Site, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sites", tuple(self.sites))
        if not self.sites:
            raise InvalidInputError("no sites were given; needed at least one component.")

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the sites."""
        return tuple(site.name for site in self.sites)

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Make gates `(m, n)` of masks `(m, n)`: 1 where present, 0 where absent."""
        return Interventions(gates=as_masks(masks, len(self.sites)).astype(np.float64))

    def by_players(self, masks: BoolArray, slopes: Slopes) -> FloatArray:
        """Give derivatives by gates: those of players."""
        found: FloatArray = slopes.take("gates", self)
        return found

    def identity(self) -> dict[str, Any]:
        """Tell where every site acts."""
        return {"lens": "components", "sites": [_site_facts(site) for site in self.sites]}


@dataclass(frozen=True, eq=False)
class GatedSubject:
    """Runs all questions under every row of gates.

    Attributes
    ----------
    model : CausalLM or Encoder
    sites : tuple of Site
        The components that the gates are on.
    questions : tuple of Question (P,)
    score : QuestionScore
    runner : GatedRunner
    """

    model: CausalLM | Encoder
    sites: tuple[Site, ...]
    questions: tuple[Question, ...]
    score: QuestionScore
    runner: GatedRunner

    @property
    def needs(self) -> Needs:
        """A gate for every site."""
        return Needs({"gates": (len(self.sites),)})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure values `(m, 1 + P)`: the mean over the questions, then each question's own."""
        (gates,) = self.needs.take(interventions, self)
        values = self.runner.run(gates, self.score.values)[:, :, 0]
        return np.column_stack([values.mean(axis=1), values])

    @property
    def flat_at_full(self) -> bool:
        """Whether the score is a divergence from the full input's."""
        return is_flat_at_full(self.score)

    @property
    def sensitivity_cost(self) -> int:
        """Three ablations: a pass forward and one back take no longer; 0 without a derivative."""
        return 3 if self.score.smooth else 0

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Return derivatives of the mean over the questions by every gate.

        Raises
        ------
        NoDerivativeError
            For a score without one, or a model that autograd cannot pass through.
        """
        if not self.score.smooth:
            raise NoDerivativeError(
                f"the score is {self.score.description!r}, which changes by jumps and has no "
                "derivative; needed one such as 'margin', 'log-probability', 'kl' or 'loss'."
            )
        (gates,) = self.needs.take(interventions, self)
        return Slopes(gates=self.runner.slopes(gates, self.score.values).mean(axis=1))

    def notes(self) -> tuple[str, ...]:
        """Tell where heads of one layer do not add up."""
        return self.runner.notes()

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model, score, what absent components become, and prompts; nothing is run."""
        kind = self.runner.replacement.kind
        return {
            "model": self.model.name,
            "score": self.score.description,
            "absent": f"{kind}, rescaled" if self.runner.replacement.rescale else kind,
            "prompts": len(self.questions),
        }

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Count the tokens `(m,)` of every ablation: those of all prompts."""
        total = sum(map(len, self.runner.sequences))
        return np.full(interventions.count, total, dtype=np.int64)

    def identity(self) -> dict[str, Any]:
        """Tell model, questions, score, and what absent components become."""
        return {
            "model": identity_of(self.model),
            "questions": [[q.prompt, q.answer, list(q.wrong)] for q in self.questions],
            "score": self.score.identity(),
            "replacement": self.runner.replacement.identity(),
        }


def component_game(
    model: Generative | Encoder,
    questions: Sequence[Question | str],
    sites: str | Sequence[str] | Sequence[Site] = "heads",
    *,
    score: str | ComponentScore = "margin",
    absent: str = "zero",
    references: Sequence[str] | None = None,
    rescale: bool = False,
    batch_tokens: int | None = None,
) -> LensGame:
    """Make the game of ablating components of a model that answers questions.

    The model is checked here, and that gates act on it is tested by real passes. A model with half
    of its heads is mostly broken: give `explain` a higher keep probability, such as p=0.9, or the
    one that `spexlens.studies.keep_probability.keep_probability(game)` measures.

    Parameters
    ----------
    model : CausalLM or Encoder
    questions : sequence of Question or str
        Every ablation runs all of them; its value is the mean.
    sites : str, or sequence of str or Site
        A key of `spexlens.models.gating.sites.SITES` (all of that kind), names such as "L3.H5",
        or sites.
    score : str or ComponentScore
        A key of `COMPONENT_SCORES`, or an instance; an encoder needs a `ProbeScore`.
    absent : "zero", "mean" or "resample"
        What an absent component gives: nothing; its mean over the references; its activation on
        the question's reference, token by token.
    references : sequence of str, optional
        For "mean" the questions' own prompts by default; for "resample" one a question, by default
        `Question.reference`.
    rescale : bool, default False
        Whether what is kept of a layer's heads (or other sites that share a tensor) is scaled up
        to make up for the absent ones.
    batch_tokens : int, optional
        Tokens in a pass.

    Returns
    -------
    LensGame
        Its values are `(m, 1 + P)`: the mean, then every question's own.

    Raises
    ------
    InvalidInputError
        For questions, sites, references or a model that do not fit.
    """
    model = model if isinstance(model, Encoder) else as_causal(model)
    asked = as_questions(questions)
    resolved = find_score(score).resolve(model, asked)
    lens = ComponentLens(_sites(model.model, sites))
    if references is None and absent == RESAMPLE:
        references = _own_references(asked)
    runner = gated_runner(
        model.passes.alone(batch_tokens),
        lens.sites,
        model.token_ids([question.prompt for question in asked]),
        absent=absent,
        references=None if references is None else model.token_ids(references),
        rescale=rescale,
    )
    if isinstance(resolved, ComparesWithFull):
        full = runner.run(np.ones((1, len(lens.sites))), resolved.reference)[0]
        resolved = resolved.against(full)
    return LensGame(lens, GatedSubject(model, lens.sites, asked, resolved, runner))


def sampling_error(values: FloatArray) -> FloatArray:
    """Estimate the standard error `(m,)` of each ablation's mean from values `(m, 1 + P)`.

    It tells how far the mean over these questions may be from that over all questions of the kind.
    Differences between two masks on the same questions are more certain than that.

    >>> sampling_error(np.array([[0.5, 0.0, 1.0, 0.0, 1.0]])).round(3).tolist()
    [0.289]
    """
    count = values.shape[1] - 1
    if count < 2:
        raise InvalidInputError(f"{count} questions; needed two at least for a standard error.")
    errors: FloatArray = values[:, 1:].std(axis=1, ddof=1) / np.sqrt(count)
    return errors


def _sites(model: Any, sites: str | Sequence[str] | Sequence[Site]) -> tuple[Site, ...]:
    if isinstance(sites, str):
        return SITES[sites].sites(model) if sites in SITES else named(model, [sites])
    chosen = tuple(sites)
    names = [site for site in chosen if isinstance(site, str)]
    if names and len(names) == len(chosen):
        return named(model, names)
    if names or not all(isinstance(site, Site) for site in chosen):
        raise InvalidInputError(
            "sites were given as a mixture of names and others; needed all names, or all of "
            "spexlens.models.gating.sites."
        )
    return tuple(site for site in chosen if isinstance(site, Site))


def _own_references(questions: Sequence[Question]) -> list[str]:
    references = []
    for question in questions:
        if question.reference is None:
            raise InvalidInputError(
                f"the question {question.prompt!r} has no reference prompt, and none were given; "
                "resampling needed one with as many tokens for each question."
            )
        references.append(question.reference)
    return references


def _site_facts(site: Site) -> list[Any]:
    columns = None if site.columns is None else [site.columns.start, site.columns.stop]
    return [site.module, site.side, columns, site.position]
