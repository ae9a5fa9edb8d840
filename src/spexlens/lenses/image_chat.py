"""The game of a picture and a text in one chat: its regions and its words are the players."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError
from spexlens.lenses.image import ImageLens, as_picture
from spexlens.lenses.joint.game import JointGame, joint_game
from spexlens.lenses.text.ablations import ABLATIONS
from spexlens.lenses.text.prompt import SLOT, PromptLens
from spexlens.lenses.text.scores import ResolvedTextScore, TextScore
from spexlens.lenses.text.segmenters import Segmenter
from spexlens.lenses.text.sequence_scores import chosen_score
from spexlens.lenses.text.spans import Span

if TYPE_CHECKING:
    from spexlens.models.pretrained.image_text import ImageTextLM

WORDS, PICTURE = "words", "picture"


@dataclass(frozen=True, eq=False)
class ScoredImageText:
    """The subject made of a chat model that reads pictures and a score of what it answers.

    Parameters
    ----------
    model : ImageTextLM
    score : ResolvedTextScore
    shape : (height, width, 3)
        Of the pictures.
    """

    model: ImageTextLM
    score: ResolvedTextScore
    shape: tuple[int, int, int]

    @property
    def needs(self) -> Needs:
        """Edited texts, each with an edited picture."""
        return Needs({"inputs": (), "pictures": self.shape})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the score `(m,)` or `(m, q)` after every text with its picture."""
        texts, pictures = self.needs.take(interventions, self)
        return self.score.values(self.model.seeing(pictures), texts)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model and score; nothing is run."""
        return {"model": self.model.name, "score": self.score.description}

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Count the tokens `(m,)` of every text with its picture."""
        texts, pictures = self.needs.take(interventions, self)
        return self.model.seeing(pictures).count_tokens(texts)

    def identity(self) -> dict[str, Any]:
        """Gather what the model and the score say of themselves."""
        return {
            "subject": "picture and text",
            "model": identity_of(self.model),
            "score": self.score.identity(),
        }


def image_chat_game(
    model: ImageTextLM,
    picture: ArrayLike,
    regions: IntArray,
    text: str,
    template: str = SLOT,
    *,
    answers: tuple[str, str] | None = None,
    score: TextScore | None = None,
    system: str | None = None,
    segmenter: str | Segmenter | Sequence[Span] = "words",
    absent: str = "remove",
    fillers: str | Sequence[str] | None = None,
    pinned: Sequence[int | str] = (),
    absent_regions: str = "blur",
    p: Mapping[str, float] | None = None,
) -> JointGame:
    """Make the game of words left out of a user's message and regions painted over in its picture.

    The players are the pieces of the text, then the regions: `game.players_of("words")`,
    `game.players_of("picture")`. The message is written by the model's own chat template, the
    picture before the text.

    Regions are painted over before the model sees the picture. Hiding patches from attention is not
    offered: the part that reads pictures has mixed them by then, and others tell of a hidden one.

    Parameters
    ----------
    model : ImageTextLM
        Such as `ImageTextLM.load(folder)`.
    picture : array (height, width, 3)
        Bytes, or floats on the scale 0 … 1, of any size that the processor takes.
    regions : int array (height, width)
        The player of each pixel, -1 for none: see `spexlens.lenses.grid` and `superpixels`.
    text : str
        What is said of the picture; its pieces are players.
    template : str, default "{text}"
        The message around it: "{text} Answer yes or no."
    answers, score
        See `prompt_game`; the answer is the assistant's next turn.
    system : str, optional
        A system message before it.
    segmenter, absent, fillers, pinned
        Of the words; see `PromptLens`. They cannot be hidden ("hide").
    absent_regions : str, default "blur"
        What is painted over an absent region: a key of `spexlens.lenses.BACKGROUNDS`.
    p : mapping, optional
        Keep probabilities of the "words" and the "picture", 1/2 by default.

    Returns
    -------
    JointGame

    Raises
    ------
    InvalidInputError
        Before any ablation is run: for arguments that do not fit, a chat template without a place
        for the text, a prompt that is too long, and a model whose answer does not change when the
        whole picture is painted over.
    """
    if ABLATIONS.find(absent).edit is None:
        raise InvalidInputError(
            "absent = 'hide' given; words beside a picture cannot be hidden from attention here. "
            "Use absent='remove' or 'replace'."
        )
    image = ImageLens(as_picture(picture), regions, absent_regions)
    written = _written(model, template, system, text)
    words = PromptLens(text, written, segmenter, absent, fillers, pinned)
    full = model.seeing(image.picture[None])
    full.count_tokens([words.prompt])
    resolved = chosen_score(answers, score).resolve(full, words.prompt)
    height, width, _ = image.picture.shape
    subject = ScoredImageText(model, resolved, (height, width, 3))
    game = joint_game({WORDS: words, PICTURE: image}, subject, p=p)
    _check_seen(game)
    return game


def _check_seen(game: JointGame) -> None:
    masks = np.ones((2, len(game.players)), dtype=bool)
    masks[1, list(game.players_of(PICTURE))] = False
    shown, painted = np.reshape(game(masks), (2, -1))[:, 0]
    image = game.lens.lenses[PICTURE]
    assert isinstance(image, ImageLens)
    nothing = np.zeros((1, len(image.players)), dtype=bool)
    changed = bool((image.paint(nothing) != image.picture).any())
    if changed and shown == painted:
        raise InvalidInputError(
            "the score does not change at all when the whole picture is painted over; needed a "
            "model and a processor that belong together, and a picture with something on it."
        )


def _written(model: ImageTextLM, template: str, system: str | None, text: str) -> str:
    """Write the chat around the slot of the text, by the processor's own template."""
    if template.count(SLOT) != 1:
        raise InvalidInputError(
            f"the template {template!r} was given; needed one with {SLOT} once, where the text is."
        )
    token = getattr(model.processor, "image_token", None)
    if isinstance(token, str) and token in template.replace(SLOT, text):
        raise InvalidInputError(
            f"the text holds {token!r}, with which {model.name} marks the place of a picture; "
            "needed one without."
        )
    content = [{"type": "image"}, {"type": "text", "text": template}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system is not None:
        told = [{"type": "text", "text": system}]
        messages.insert(0, {"role": "system", "content": told})
    try:
        written = model.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
    except Exception as error:  # templates raise what they like
        raise InvalidInputError(
            f"the chat template of {model.name} does not take a picture and a text ({error})."
        ) from error
    if not isinstance(written, str) or written.count(SLOT) != 1:
        raise InvalidInputError(
            f"the chat template of {model.name} writes {written!r:.200} for the text {SLOT}; "
            "needed one that writes the text once, as it is."
        )
    return written
