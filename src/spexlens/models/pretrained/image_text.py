"""Chat models of transformers that read a picture and a text: LLaVA, Gemma 3, Qwen-VL."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.pretrained.generative import Generative
from spexlens.models.pretrained.loading import IMAGE_TEXT, load_pretrained, load_processor
from spexlens.models.pretrained.prompt_tokens import PromptTokens
from spexlens.models.running.batching import evaluating
from spexlens.models.running.generation import greedy_from
from spexlens.models.running.quantised import reading
from spexlens.models.running.reading import Outputs, Read
from spexlens.models.running.ways import Ways, agree

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a model that reads pictures", "torch", "llm") from error

if TYPE_CHECKING:
    Row = dict[str, torch.Tensor]
Pictures = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageTextLM(Generative):
    """A chat model of transformers that reads one picture with its prompt.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        As of `AutoModelForImageTextToText`.
    tokenizer, name, batch_tokens, replicas, prepacked, compiled
        See `spexlens.models.pretrained.base.Pretrained`; the tokenizer is the processor's.
    processor : transformers.ProcessorMixin
        Makes tokens of a prompt and numbers of a picture; it holds the chat template.
    pictures : float array (m, height, width, 3), optional
        The pictures that m prompts come with, on the scale 0 … 1; `seeing` gives them.

    Notes
    -----
    A prompt's values equal those of a plain pass of it alone, up to rounding: prompts of one length
    share a batch where a trial finds that this changes nothing, others do not.
    """

    kind = IMAGE_TEXT

    processor: Any = None
    pictures: Pictures | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not hasattr(self.processor, "image_processor"):
            raise InvalidInputError(
                f"processor = {type(self.processor).__name__} given; needed the model's own, such "
                "as transformers.AutoProcessor.from_pretrained(…) gives."
            )

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        dtype: str | torch.dtype = "float32",
        device: str | torch.device | Sequence[str | torch.device] = "cpu",
        batch_tokens: int | None = None,
        prepacked: bool = True,
        compiled: bool = False,
        trust_remote_code: bool = False,
    ) -> Self:
        """Load model and processor from a folder or the hub; see `Pretrained.load`."""
        (model, *replicas), _ = load_pretrained(
            cls.kind, name_or_path, dtype, device, trust_remote_code
        )
        processor = load_processor(name_or_path, trust_remote_code)
        return cls(
            model, processor.tokenizer, str(name_or_path), batch_tokens, tuple(replicas), prepacked,
            compiled, processor,
        )  # fmt: skip

    def seeing(self, pictures: Pictures) -> ImageTextLM:
        """Give the same model; of m pictures `(m, height, width, 3)`, prompt i has the i-th."""
        return self.sharing_passes(replace(self, pictures=pictures))

    def identity(self) -> dict[str, Any]:
        """Give the model's, and how pictures are made into numbers."""
        settings = json.dumps(self.processor.image_processor.to_dict(), sort_keys=True, default=str)
        return {**super().identity(), "pictures": hashlib.sha256(settings.encode()).hexdigest()}

    # -- tokens ----------------------------------------------------------------------------------

    @property
    def tokens(self) -> PromptTokens:
        """The tokenizer, for which a picture is one token; nothing is put behind a prompt."""
        return replace(super().tokens, continued=True, positions=None)

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Give the token ids of `text`, a picture one of them."""
        return self.tokens.encode([text], special_tokens=special_tokens)[0]

    def count_tokens(self, texts: Sequence[str]) -> IntArray:
        """Count the tokens of every prompt with its picture, `(m,)`; the picture's are the same."""
        written = [len(ids) for ids in self.tokens.encode(texts)]
        of_picture = self._row(texts[0], 0)["input_ids"].shape[1] - written[0]
        counts = np.array(written, dtype=np.int64) + of_picture
        limit = self.max_tokens
        if limit is not None and counts.max() > limit:
            raise InvalidInputError(
                f"a prompt has {counts.max()} tokens, {of_picture} of its picture among them, and "
                f"{self.name} has {limit} positions; needed a shorter text or a smaller picture."
            )
        return counts

    # -- what is read ----------------------------------------------------------------------------

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Write the most probable answer to each prompt and its picture, one after another."""
        if max_new_tokens < 1:
            raise InvalidInputError(f"max_new_tokens = {max_new_tokens} given; needed at least 1.")
        self._check_rows(prompts)
        texts = []
        with self.passes.state.lock, reading(self.model), evaluating(self.model):
            for number, prompt in enumerate(prompts):
                row = self._row(prompt, number)
                new = greedy_from(self.model, row, self.filler, max_new_tokens)
                texts.append(str(self.tokenizer.decode(new, skip_special_tokens=True)))
        return texts

    def _read(self, prompts: Sequence[str], behind: list[int], read: Read) -> FloatArray:
        self._check_rows(prompts)
        keys = [(prompt, self._picture(number).tobytes()) for number, prompt in enumerate(prompts)]
        first = {key: number for number, key in reversed(list(enumerate(keys)))}
        numbers = sorted(first.values())
        rows = [_continued(self._row(prompts[number], number), behind) for number in numbers]
        lengths = [row["input_ids"].shape[1] for row in rows]
        if behind:
            self._check_causal(rows[0], len(behind))

        def run(model: Any, batch: list[int]) -> list[FloatArray]:
            logits = _logits(model, [rows[row] for row in batch], 1 + len(behind))
            return list(read(Outputs(logits, None)).cpu().double().numpy())

        values = self.passes.run(
            lengths,
            lambda model: nullcontext(lambda batch: run(model, batch)),
            padded=False,
            max_rows=None if self._together(rows, lengths) else 1,
        )
        found = dict(zip((keys[number] for number in numbers), values, strict=True))
        return np.stack([found[key] for key in keys])

    def _check_rows(self, prompts: Sequence[str]) -> None:
        given = 0 if self.pictures is None else len(self.pictures)
        if given != len(prompts):
            raise InvalidInputError(
                f"{len(prompts)} prompts were given with {given} pictures; needed one each, as "
                "image_chat_game gives them. A score that reads another prompt as well cannot be "
                "had of pictures."
            )

    def _picture(self, number: int) -> NDArray[np.uint8]:
        assert self.pictures is not None
        pixels: NDArray[np.uint8] = np.rint(self.pictures[number] * 255).astype(np.uint8)
        return pixels

    def _row(self, prompt: str, number: int) -> Row:
        """Make what the model is given of one prompt with its picture."""
        if self.pictures is None:
            raise InvalidInputError(
                f"{self.name} was given a prompt without a picture; make the game of both with "
                "image_chat_game."
            )
        from PIL import Image

        bos = getattr(self.tokenizer, "bos_token", None)
        try:
            made = self.processor(
                text=[prompt],
                images=[[Image.fromarray(self._picture(number))]],
                return_tensors="pt",
                add_special_tokens=not (bos and prompt.startswith(bos)),
            )
        except (ValueError, IndexError, TypeError) as error:
            raise InvalidInputError(
                f"{type(self.processor).__name__} cannot read the prompt {prompt[:60]!r} with its "
                f"picture ({error}); needed one place for a picture in it."
            ) from error
        device = self.model.device
        return {
            name: tensor.to(device)
            for name, tensor in made.items()
            if name != "labels" and isinstance(tensor, torch.Tensor)
        }

    def _together(self, rows: list[Row], lengths: list[int]) -> bool:
        """Whether prompts of one length can share a batch: tried once, on the first two."""
        state = self.passes.state
        if state.ways is None:
            pair = [row for row, length in zip(rows, lengths, strict=True) if length == lengths[0]]
            if len(pair) < 2:
                return True  # no batch has two of the first's length: it is tried when one has
            with reading(self.model), evaluating(self.model):
                alone = torch.cat([_logits(self.model, [row], 1) for row in pair[:2]])
                both = _logits(self.model, pair[:2], 1)
            same = agree(both, alone, self.model.dtype)
            state.ways = Ways(padded=False, shared=False, causal=True, together=same)
        return state.ways.together

    def _check_causal(self, row: Row, more: int) -> None:
        """Raise where the first token's logits change with those behind it: tried once."""
        state = self.passes.state
        if state.causal is None:
            with reading(self.model), evaluating(self.model):
                cut = {
                    name: tensor[:, :-more] if tensor.shape == row["input_ids"].shape else tensor
                    for name, tensor in row.items()
                }
                first = _logits(self.model, [cut], 1)[:, 0]
                same = _logits(self.model, [row], 1 + more)[:, 0]
            state.causal = agree(same, first, self.model.dtype)
        if not state.causal:
            raise InvalidInputError(
                f"the tokens of {self.name} see those behind them in a prompt (PaliGemma), so that "
                "several tokens of an answer cannot be scored in one pass; score the first one."
            )


def _continued(row: Row, behind: list[int]) -> Row:
    """Put the tokens of an answer behind a prompt: attended to, and no picture."""
    if not behind:
        return row
    ids = row["input_ids"]
    more = torch.tensor([behind], device=ids.device, dtype=ids.dtype)
    parts = {"input_ids": more, "attention_mask": torch.ones_like(more)}
    return {
        name: torch.cat([tensor, parts.get(name, torch.zeros_like(more)).to(tensor.dtype)], dim=1)
        if tensor.shape == ids.shape
        else tensor
        for name, tensor in row.items()
    }


def _logits(model: Any, rows: list[Row], last: int) -> torch.Tensor:
    """Compute logits `(b, last, vocabulary)` of the last tokens of rows of one length."""
    inputs = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    parameters = inspect.signature(model.forward).parameters
    more = {"logits_to_keep": last} if "logits_to_keep" in parameters else {}
    logits: torch.Tensor = model(**inputs, **more, use_cache=False).logits[:, -last:]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
