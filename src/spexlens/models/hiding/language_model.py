"""A causal language model that reads one prompt with some of its tokens hidden from attention."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.running.batching import evaluating
from spexlens.models.running.passes import Passes
from spexlens.models.running.quantised import quantisation, reading
from spexlens.models.running.reading import Read, Sequences, outputs_at

try:
    import torch
except ImportError as error:
    raise MissingExtraError("hiding tokens from attention", "torch", "llm") from error


_SHORTEST = 4  # tokens of the prompt on which a model is tried
_NOT_TAKEN = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
_FULL, _SLIDING = "full_attention", "sliding_attention"  # transformers' names of kinds of layers


@dataclass(frozen=True, eq=False)
class HiddenTokens:
    """Runs equal sequences, row i of them without some of its tokens in sight: a `Reader`.

    No token attends to a hidden one, but for itself; tokens and positions stay as they are.

    Parameters
    ----------
    passes : Passes
    visible : bool array (m, t)
        For each row, which of the prompt's t tokens the others see.

    Notes
    -----
    The mask is the additive one of four dimensions that transformers passes on to attention as it
    is; `check_hiding` finds the models that do otherwise.
    """

    passes: Passes
    visible: BoolArray

    def read(self, sequences: Sequences, tokens: int, read: Read) -> FloatArray:
        """See `spexlens.models.running.reading.Reader`; what follows the prompt is visible."""
        rows, given = self.visible.shape
        different = len(set(map(tuple, sequences)))
        if len(sequences) != rows or different > 1:
            raise InvalidInputError(
                f"{len(sequences)} prompts, {different} of them different, were given for {rows} "
                "rows of hidden tokens; needed one prompt, the same for all. This score reads "
                "another prompt as well; use absent='remove' for it."
            )
        ids = list(sequences[0])
        if len(ids) != given + tokens - 1:
            raise InvalidInputError(
                f"{given} tokens are visible or hidden, and the prompt has "
                f"{len(ids) - tokens + 1}; needed the visible tokens of this prompt."
            )
        visible = np.pad(self.visible, ((0, 0), (0, tokens - 1)), constant_values=True)

        def run(model: Any, batch: list[int]) -> list[FloatArray]:
            inputs = torch.tensor([ids] * len(batch), device=model.device)
            columns = torch.arange(len(ids) - tokens, len(ids), device=model.device)
            mask = _masks(visible[batch], model)
            outputs = outputs_at(model, inputs, columns.expand(len(batch), -1), mask=mask)
            return list(read(outputs).cpu().double().numpy())

        lengths = [len(ids)] * rows
        # Rounded activations can depend on the batch, which no other model's do.
        alone = quantisation(self.passes.model) and not self.passes.ways([ids, ids]).together
        values = self.passes.run(
            lengths,
            lambda model: nullcontext(lambda batch: run(model, batch)),
            padded=False,
            max_rows=1 if alone else None,
        )
        return np.stack(values)

    def generate(self, sequences: Sequences, max_new_tokens: int) -> list[list[int]]:
        """Refuse: what is generated would have to be hidden from the same tokens."""
        raise InvalidInputError(
            "generated text cannot be scored with tokens hidden from attention; use "
            "absent='remove' or 'replace', or score a fixed response."
        )


def hidden_from(lm: CausalLM, visible: BoolArray) -> CausalLM:
    """Make the model as it reads m equal prompts, row i with only `visible[i]` `(m, t)`."""
    return lm.read_by(HiddenTokens(lm.passes, visible))


def check_hiding(lm: CausalLM, prompt: str) -> None:
    """Refuse a model that does not read this prompt's mask of four dimensions as it is meant.

    The prompt is run plainly, with a mask that hides none, and with one that hides the last token
    but one, which a model whose layers look back in another way than attention still sees. Windows,
    chunks and sparse attention show themselves only at a prompt's own length.
    """
    ids = torch.tensor([lm.encode(prompt)], device=lm.model.device)
    if ids.shape[1] < _SHORTEST:
        ids = torch.arange(_SHORTEST, device=lm.model.device)[None]
    all_seen = np.ones((1, ids.shape[1]), dtype=bool)
    hidden, exchanged = all_seen.copy(), ids.clone()
    hidden[0, -2] = False
    exchanged[0, -2] = (ids[0, -2] + 1) % lm.model.get_input_embeddings().num_embeddings
    with reading(lm.model), evaluating(lm.model):
        try:
            plain = lm.model(input_ids=ids).logits[0, -1]
            shown, without, other = (
                lm.model(input_ids=tokens, attention_mask=_masks(seen, lm.model)).logits[0, -1]
                for tokens, seen in ((ids, all_seen), (ids, hidden), (exchanged, hidden))
            )
        except _NOT_TAKEN as error:
            raise InvalidInputError(
                f"{lm.name} takes no attention mask of four dimensions ({error}); use "
                "absent='remove' or 'replace'."
            ) from error
    near = 1e-3 * float(plain.max() - plain.min()) or 1e-6
    same = bool((plain - shown).abs().max() <= near and (without - other).abs().max() <= near)
    if not same or bool((plain - without).abs().max() == 0):
        raise InvalidInputError(
            f"{lm.name} does not read {ids.shape[1]} tokens as its attention mask asks (a "
            "recurrent model, perhaps, one whose attention leaves out what is far, or one that "
            "rounds what all tokens give); use "
            "absent='remove' or 'replace'."
        )


def _masks(visible: BoolArray, model: Any) -> torch.Tensor | dict[str, torch.Tensor]:
    """Masks `(m, 1, t, t)`: 0 where a token attends, the least finite number elsewhere.

    Where the prompt is longer than the model's sliding window, layers with the window have a mask
    of their own, by the names of transformers' `layer_types`.
    """
    size = visible.shape[1]
    seen = np.tril(np.ones((size, size), dtype=bool)) & visible[:, None, :]
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if window is None or size <= window:
        return _additive(seen, model)
    near = np.subtract.outer(np.arange(size), np.arange(size)) < window
    masks = {_FULL: seen, _SLIDING: seen & near}
    kinds = set(getattr(config, "layer_types", None) or [_SLIDING])
    if kinds == {_SLIDING}:
        return _additive(masks[_SLIDING], model)
    if _SLIDING not in kinds:
        return _additive(seen, model)
    return {kind: _additive(mask, model) for kind, mask in masks.items()}


def _additive(seen: BoolArray, model: Any) -> torch.Tensor:
    """Write which tokens `(m, t, t)` each attends to, itself always, as a mask `(m, 1, t, t)`."""
    seen = seen | np.eye(seen.shape[1], dtype=bool)  # a row that sees nothing would be NaN
    least = torch.finfo(model.dtype).min
    mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(torch.from_numpy(~seen), least)
    return mask[:, None].to(model.device)
