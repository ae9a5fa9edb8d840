"""A causal language model that reads one prompt with some of its tokens hidden from attention."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spexlens.models.pretrained.causal_lm import CausalLM

try:
    import torch
except ImportError as error:
    raise MissingExtraError("hiding tokens from attention", "torch", "llm") from error

_BATCH_TOKENS = 2048


@dataclass(frozen=True, eq=False)
class HiddenTokens:
    """A language model to which row i of a batch of equal prompts is shown without some tokens.

    No token attends to a hidden one, but for itself; tokens and positions stay as they are. It is a
    `LanguageModel`, so that every score that reads the prompts it is given can be used.

    Parameters
    ----------
    lm : CausalLM
    visible : bool array (m, t)
        For each row, which of the prompt's t tokens the others see.

    Notes
    -----
    The mask is the additive one of four dimensions that transformers passes on to attention as it
    is; `check_hiding` finds the models that do otherwise.
    """

    lm: CausalLM
    visible: BoolArray

    @property
    def name(self) -> str:
        """The model's."""
        return self.lm.name

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """The model's."""
        return self.lm.encode(text, special_tokens=special_tokens)

    def token_text(self, token_id: int) -> str:
        """The model's."""
        return self.lm.token_text(token_id)

    def count_tokens(self, prompts: Sequence[str]) -> IntArray:
        """The model's: hidden tokens are run as well."""
        return self.lm.count_tokens(prompts)

    def next_token_logits(self, prompts: Sequence[str], token_ids: Sequence[int]) -> FloatArray:
        """Logits `(m, k)` of some tokens as the next one."""
        return self._logits(prompts, [])[:, 0, list(token_ids)]

    def next_token_log_probabilities(
        self, prompts: Sequence[str], token_ids: Sequence[int]
    ) -> FloatArray:
        """Natural-log probabilities `(m, k)` of some tokens as the next one."""
        return _log_softmax(self._logits(prompts, []))[:, 0, list(token_ids)]

    def continuation_log_probabilities(
        self, prompts: Sequence[str], continuation_ids: Sequence[int]
    ) -> FloatArray:
        """Natural-log probabilities `(m, t)` of a continuation's tokens."""
        target = [int(token) for token in continuation_ids]
        read = _log_softmax(self._logits(prompts, target[:-1]))
        return read[:, np.arange(len(target)), target]

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Not offered: what is generated would have to be hidden from the same tokens."""
        raise InvalidInputError(
            "generated text cannot be scored with tokens hidden from attention; use the ablation "
            "'remove' or 'replace', or score a fixed response."
        )

    def _logits(self, prompts: Sequence[str], more: list[int]) -> FloatArray:
        """Logits `(m, 1 + len(more), vocabulary)` at the prompt's last token and those after it."""
        if len(prompts) != len(self.visible) or len(set(prompts)) > 1:
            raise InvalidInputError(
                f"{len(prompts)} prompts, {len(set(prompts))} of them different, were given for "
                f"{len(self.visible)} rows of hidden tokens; needed one prompt, the same for all. "
                "This score reads another prompt as well; use the ablation 'remove' for it."
            )
        ids = [*self.lm.encode(prompts[0]), *more]
        rows = max(1, _BATCH_TOKENS // len(ids))
        visible = np.pad(self.visible, ((0, 0), (0, len(more))), constant_values=True)
        parts = [
            self._pass(ids, visible[start : start + rows], 1 + len(more))
            for start in range(0, len(visible), rows)
        ]
        return np.concatenate(parts)

    def _pass(self, ids: list[int], visible: BoolArray, read: int) -> FloatArray:
        model = self.lm.model
        with torch.inference_mode(), _evaluating(model):
            inputs = torch.tensor([ids] * len(visible), device=model.device)
            logits = model(input_ids=inputs, attention_mask=_additive(visible, model)).logits
        kept: FloatArray = logits[:, -read:].float().cpu().double().numpy()
        return kept


def check_hiding(lm: CausalLM) -> None:
    """An error for a model that does not read a mask of four dimensions as it is meant.

    Four tokens are run plainly, with a mask that hides none, and with one that hides the second,
    which a model whose layers look back in another way than attention still sees.
    """
    ids = torch.tensor([[0, 1, 2, 3]], device=lm.model.device)
    hidden = np.ones((1, 4), dtype=bool)
    hidden[0, 1] = False
    with torch.inference_mode(), _evaluating(lm.model):
        try:
            plain = lm.model(input_ids=ids).logits[0, -1]
            shown, without, other = (
                lm.model(input_ids=tokens, attention_mask=_additive(row, lm.model)).logits[0, -1]
                for tokens, row in (
                    (ids, np.ones((1, 4), dtype=bool)),
                    (ids, hidden),
                    (ids + torch.tensor([[0, 1, 0, 0]], device=ids.device), hidden),
                )
            )
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InvalidInputError(
                f"{lm.name} takes no attention mask of four dimensions ({error}); use the ablation "
                "'remove' or 'replace'."
            ) from error
    near = 1e-3 * float(plain.max() - plain.min()) or 1e-6
    same = bool((plain - shown).abs().max() <= near and (without - other).abs().max() <= near)
    if not same or bool((plain - without).abs().max() == 0):
        raise InvalidInputError(
            f"{lm.name} does not hide tokens as its attention mask asks (a recurrent or windowed "
            "model, perhaps); use the ablation 'remove' or 'replace'."
        )


def _additive(visible: BoolArray, model: Any) -> torch.Tensor:
    """`(m, 1, t, t)`: 0 where a token attends, the least finite number elsewhere."""
    size = visible.shape[1]
    seen = np.tril(np.ones((size, size), dtype=bool)) & visible[:, None, :]
    seen |= np.eye(size, dtype=bool)  # a row that sees nothing would be NaN
    least = torch.finfo(model.dtype).min
    mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(torch.from_numpy(~seen), least)
    return mask[:, None].to(model.device)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _log_softmax(logits: FloatArray) -> FloatArray:
    from scipy.special import log_softmax

    values: FloatArray = log_softmax(logits, axis=-1)
    return values
