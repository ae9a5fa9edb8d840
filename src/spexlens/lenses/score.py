"""The contract of scores: how one is resolved, how it gives values, and their sign.

A score says what to read off a model, in the user's words: answers, a response, a class, a name. It
is first resolved against the model and what the model is asked, which runs no model that is here
and refuses what cannot be read, before any ablation is paid. What results is the same for every
ablation: it gives values, and says what they are and what they depend on.

**One sign.** A larger value is more of what is asked for, or nearer to the original. What grows as
things get worse (a divergence, a loss, a perplexity) is given with a minus.

What a score is resolved against and what it reads depends on its kind, and so do the arguments of
`resolve` and `values`:

| kind | resolved against | reads |
|---|---|---|
| text | a language model, the full prompt | a language model, prompts |
| class | the names of the classes | class logits |
| component | a model, its questions | a gated model, token ids, the numbers of their questions |
| training | the kind of a trainer's outputs, the test points | outputs |
| endpoint | an endpoint, the full prompt (a few requests) | the replies to one prompt |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

Given = ParamSpec("Given")
Read = ParamSpec("Read")
Values_co = TypeVar("Values_co", covariant=True)
Resolved_co = TypeVar("Resolved_co", covariant=True)


class ResolvedScore(Protocol[Read, Values_co]):
    """A score in the model's own terms, the same for every ablation."""

    @property
    def description(self) -> str:
        """What a value is, for people: `logit(' positive') - logit(' negative')`."""
        ...

    def values(self, *read: Read.args, **named: Read.kwargs) -> Values_co:
        """Compute the values of what is read; larger is more of what was asked for."""
        ...

    def identity(self) -> dict[str, Any]:
        """Tell what its values depend on beside the model, as JSON."""
        ...


@runtime_checkable
class Score(Protocol[Given, Resolved_co]):
    """What to read off a model, in words."""

    def resolve(self, *given: Given.args, **named: Given.kwargs) -> Resolved_co:
        """Find the score in the model's terms; `InvalidInputError` where it cannot be read."""
        ...


@runtime_checkable
class Jumping(Protocol):
    """A resolved score that says whether it has a derivative; those that do not say so have."""

    @property
    def smooth(self) -> bool:
        """False where it changes by jumps."""
        ...


@runtime_checkable
class TellsSlopes(Protocol):
    """A resolved score that knows its own derivatives by what it reads."""

    def slopes(self, reads: Sequence[Any], /) -> Sequence[Any]:
        """Give derivatives `(b, k)` for every array `(b, k)` that `values` reads, in order."""
        ...


@runtime_checkable
class Diverging(Protocol):
    """A resolved score that may be a divergence from the full input's, at its top there."""

    @property
    def flat_at_full(self) -> bool:
        """Whether it is."""
        ...


def is_flat_at_full(score: object) -> bool:
    """Whether a resolved score has only zero derivatives at the full input, as far as it says."""
    return isinstance(score, Diverging) and score.flat_at_full


def is_smooth(score: object) -> bool:
    """Whether a resolved score has a derivative, as far as it says."""
    return score.smooth if isinstance(score, Jumping) else True


@dataclass(frozen=True)
class NamedScore:
    """A row of a table of scores that are chosen by name.

    Attributes
    ----------
    name : str
    description : str
        What a value is; help texts and errors are made of it.
    make : callable
        The score, from the words that it needs and its settings by name.
    needs : "answers", "response" or None
        The words that have to be given.
    settings : tuple of str
        What else can be chosen.
    """

    name: str
    description: str
    make: Callable[..., Any]
    needs: str | None = None
    settings: tuple[str, ...] = ()
