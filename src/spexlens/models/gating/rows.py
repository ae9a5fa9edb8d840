"""One prompt and one row of gates an ablation: what a game over words *and* heads runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.gating.checks import refuse_unfit, verify_gates
from spexlens.models.gating.early_layers import EarlyLayers, early_layers, share_below
from spexlens.models.gating.gates import edited, gate, hook_points
from spexlens.models.gating.replacement import MEAN, ZERO, Replacement, prepare_replacement
from spexlens.models.gating.sites import Site
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.encoder import Encoder, pooled
from spexlens.models.pretrained.prompt_tokens import PromptTokens
from spexlens.models.running.batching import batches, right_padded
from spexlens.models.running.prefix import depends_on_length
from spexlens.models.running.prepacked import PackedLinears
from spexlens.models.running.reading import outputs_at
from spexlens.models.running.runner import RunState
from spexlens.models.running.workers import Run, run_batches

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error

_BATCH_TOKENS_CPU, _BATCH_TOKENS_GPU = 512, 16_384
# Largest difference of two passes, as a share of the range of their outputs, that is rounding.
_ROUNDING, _ROUNDING_SHORT = {torch.float64: 1e-6, torch.float32: 1e-3}, 0.1

Read = Callable[[Any, list[Sequence[int]]], torch.Tensor]
"""From a model and the token ids of b rows to a tensor `(b, k)`."""


@dataclass(frozen=True, eq=False)
class GatedRows:
    """Runs token sequences, each under gates of its own; `gated_rows` makes one.

    Layers below the first site are run once a prompt, where many rows of a call share a prompt.

    Attributes
    ----------
    model : transformers.PreTrainedModel
    sites : tuple of Site
    replacement : Replacement
    causal : bool
        Whether no token sees those behind it.
    packed : PackedLinears or None
    batch_tokens : int
    """

    model: Any
    sites: tuple[Site, ...]
    replacement: Replacement
    causal: bool
    packed: PackedLinears | None
    batch_tokens: int
    _state: RunState = field(init=False, default_factory=RunState, repr=False)

    def run(
        self, sequences: Sequence[Sequence[int]], gates: FloatArray, read: Read, *, padded: bool
    ) -> FloatArray:
        """What `read` reads of every row, `(m, k)`.

        Parameters
        ----------
        sequences : sequence of token ids (m,)
        gates : float array (m, sites)
        read : callable
        padded : bool
            Whether `read` allows texts of different lengths in a batch.

        Raises
        ------
        InvalidInputError
            Unless there is one row of gates a sequence and one gate a site.
        """
        self.check(gates)
        if len(sequences) != len(gates):
            raise InvalidInputError(
                f"{len(sequences)} texts given for {len(gates)} rows of gates; needed one each."
            )
        refuse_unfit(self.model)
        points = hook_points(self.sites)
        tensor = torch.tensor(np.asarray(gates), dtype=torch.float32, device=self.model.device)
        distinct = dict.fromkeys(map(tuple, sequences))
        prompts = {ids: number for number, ids in enumerate(distinct)}
        # Once all layers for every prompt, then only those from the first site on for every row.
        shared = len(prompts) < share_below(self.model, self.sites) * len(sequences)

        def values(rows: list[int], early: EarlyLayers | None) -> list[FloatArray]:
            edits = {
                point: gate(
                    point,
                    tensor[rows][:, torch.from_numpy(point.numbers).to(tensor.device)],
                    self.replacement.at(number, ()),
                )
                for number, point in enumerate(points)
            }
            own = [sequences[row] for row in rows]
            numbers = [prompts[tuple(ids)] for ids in own]
            without = nullcontext() if early is None else early.left_out(self.model, numbers)
            with without, edited(self.model, edits):
                read_off = read(self.model, own)
            return list(read_off.double().cpu().numpy())

        @contextmanager
        def session(model: Any) -> Iterator[Run[FloatArray]]:
            packed = nullcontext() if self.packed is None else self.packed.within(model)
            with torch.inference_mode(), packed:
                early = early_layers(model, self.sites, list(prompts), tokens) if shared else None
                yield lambda rows: values(rows, early)

        lengths = [len(ids) for ids in sequences]
        with self._state.lock:  # hooks on the one model: calls from several threads take turns
            limit = self._state.limit
            tokens = limit.bound(self.batch_tokens)
            packs = batches(lengths, tokens, padded=padded and not shared)
            return np.stack(run_batches((self.model,), packs, lengths, limit, session))

    def check(self, gates: FloatArray) -> None:
        """An error where there is not one gate a site."""
        if gates.ndim != 2 or gates.shape[1] != len(self.sites):
            raise InvalidInputError(
                f"gates of shape {gates.shape} given for {len(self.sites)} sites; needed one "
                "column a site. Give the lens and the subject the same sites."
            )


def gated_rows(
    model: Any,
    sites: Sequence[Site],
    probe: Sequence[int],
    *,
    replacement: str = ZERO,
    references: Sequence[Sequence[int]] = (),
    batch_tokens: int | None = None,
    prepacked: bool = True,
) -> GatedRows:
    """Check a model and that gates act on it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In eval mode.
    sites : sequence of Site
    probe : sequence of int
        Token ids of a prompt to test the gates on, and whether tokens see those behind them.
    replacement : "zero" or "mean"
        Not "resample": the prompts change from row to row, and their lengths with them.
    references : sequence of token ids
        For "mean"; the probe by default.
    batch_tokens : int, optional
        Tokens in a pass; 512 by default on a CPU, 16,384 elsewhere.
    prepacked : bool
        See `spexlens.models.pretrained.causal_lm.CausalLM`.

    Raises
    ------
    InvalidInputError
        For a model, site or replacement that does not fit.
    """
    if replacement not in (ZERO, MEAN):
        raise InvalidInputError(
            f"replacement = {replacement!r} given; needed {ZERO!r} or {MEAN!r}: prompts of "
            "different lengths have no token-by-token counterpart to resample from."
        )
    if batch_tokens is not None and batch_tokens < 1:
        raise InvalidInputError(f"batch_tokens = {batch_tokens} given; needed at least 1.")
    refuse_unfit(model)
    points = hook_points(sites)

    def run(ids: Sequence[int]) -> object:
        return model(input_ids=torch.tensor([list(ids)], device=model.device))

    if replacement == MEAN and not references:
        references = [probe]
    on_cpu = model.device.type == "cpu"
    tokens = batch_tokens or (_BATCH_TOKENS_CPU if on_cpu else _BATCH_TOKENS_GPU)
    with torch.inference_mode():
        verify_gates(model, points, tuple(probe))
        prepared = prepare_replacement(replacement, model, points, [probe], references, run)
        causal = _is_causal(model, probe)
    packed = PackedLinears(tokens) if on_cpu and prepacked else None
    return GatedRows(model, tuple(sites), prepared, causal, packed, tokens)


def _is_causal(model: Any, probe: Sequence[int]) -> bool:
    """Whether the first tokens give the same without those behind them."""
    ids = torch.tensor([list(islice(cycle(probe), 6))], device=model.device)
    whole, first = model(input_ids=ids)[0][:, :4], model(input_ids=ids[:, :4])[0]
    bound = _ROUNDING.get(first.dtype, _ROUNDING_SHORT) * (first.max() - first.min())
    return bool((whole - first).abs().max() <= bound)


@dataclass(frozen=True, eq=False)
class GatedView:
    """A language model whose prompt number i runs under row i of the gates.

    It is what a score is given (`spexlens.models.base.LanguageModel`); all its methods must be
    called with as many prompts as there are rows.

    Attributes
    ----------
    language_model : CausalLM
    rows : GatedRows
    gates : float array (m, sites)
    """

    language_model: CausalLM
    rows: GatedRows
    gates: FloatArray

    @property
    def name(self) -> str:
        """The model's."""
        return self.language_model.name

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """As of the model."""
        return self.language_model.encode(text, special_tokens=special_tokens)

    def token_text(self, token_id: int) -> str:
        """As of the model."""
        return self.language_model.token_text(token_id)

    def count_tokens(self, prompts: Sequence[str]) -> IntArray:
        """As of the model."""
        return self.language_model.count_tokens(prompts)

    def next_token_logits(self, prompts: Sequence[str], token_ids: Sequence[int]) -> FloatArray:
        """Logits `(m, k)` of some tokens as the next one."""
        return self._read(prompts, (), lambda logits: logits[:, 0, list(token_ids)])

    def next_token_log_probabilities(
        self, prompts: Sequence[str], token_ids: Sequence[int]
    ) -> FloatArray:
        """Natural-log probabilities `(m, k)` of some tokens as the next one."""
        return self._read(
            prompts, (), lambda logits: logits[:, 0].log_softmax(dim=-1)[:, list(token_ids)]
        )

    def continuation_log_probabilities(
        self, prompts: Sequence[str], continuation_ids: Sequence[int]
    ) -> FloatArray:
        """Natural-log probabilities `(m, t)` of a continuation's tokens."""
        target = list(continuation_ids)
        return self._read(
            prompts,
            target[:-1],
            lambda logits: logits.log_softmax(dim=-1)[:, range(len(target)), target],
        )

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Not possible: a text grows by a pass a token, under gates of its own."""
        raise InvalidInputError(
            "generated text was asked of a gated model; needed a score of logits or of a fixed "
            "response."
        )

    def _read(
        self,
        prompts: Sequence[str],
        behind: Sequence[int],
        read: Callable[[torch.Tensor], torch.Tensor],
    ) -> FloatArray:
        if behind and not self.rows.causal:
            raise InvalidInputError(
                f"{self.name} lets tokens see those behind them; needed a causal model to score a "
                "continuation of several tokens in one pass. Score one token."
            )
        lm = self.language_model
        tokens = PromptTokens(lm.tokenizer, lm.name, lm.max_tokens)
        sequences = [(*ids, *behind) for ids in tokens.sequences(prompts, len(behind))]
        back = len(behind) + 1
        filler = getattr(lm.tokenizer, "pad_token_id", None) or 0

        def last(model: Any, rows: list[Sequence[int]]) -> torch.Tensor:
            ends = torch.tensor([len(ids) for ids in rows], device=model.device)[:, None]
            columns = ends + torch.arange(-back, 0, device=model.device)
            ids = right_padded(rows, filler, model.device)
            return read(outputs_at(model, ids, columns).logits)

        padded = self.rows.causal and not depends_on_length(lm.model.config)
        return self.rows.run(sequences, self.gates, last, padded=padded)


def gated_embeddings(
    encoder: Encoder, rows: GatedRows, texts: Sequence[str], gates: FloatArray
) -> FloatArray:
    """Sentence embeddings `(m, d)` of texts `(m,)`, each under gates `(m, sites)` of its own."""
    tokens = PromptTokens(encoder.tokenizer, encoder.name, encoder.max_tokens)

    def read(model: Any, batch: list[Sequence[int]]) -> torch.Tensor:
        return pooled(model, torch.tensor([list(ids) for ids in batch], device=model.device))

    return rows.run(tokens.sequences(texts), gates, read, padded=False)
