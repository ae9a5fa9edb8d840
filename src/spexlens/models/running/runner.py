"""Many token sequences through a model: the shortest way that gives the values of plain passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import cycle, islice
from threading import Lock
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.running.batching import batches, common_prefix, evaluating, right_padded
from spexlens.models.running.generation import greedy
from spexlens.models.running.prefix import depends_on_length, prefix_cache
from spexlens.models.running.prepacked import PackedLinears
from spexlens.models.running.reading import Outputs, outputs_at
from spexlens.models.running.workers import Run, TokenLimit, run_batches

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error

# Running a prefix apart reads all weights once more, which takes as long as some 20 tokens of a
# batch (SmolLM2, one CPU thread).
_WORTH_SHARING = 32
# A token of the prefix is not computed again but attended to: memory of about an eighth of a token.
_PREFIX_SHARE = 8
# Logits of one pass, 1 GB in float32.
_MAX_LOGITS = 2**28
# Largest difference to a plain pass, as a share of the range of its logits, that is rounding.
_ROUNDING = {torch.float64: 1e-6, torch.float32: 1e-3}
_ROUNDING_SHORT = 0.1


@dataclass(frozen=True)
class _Ways:
    """What a model allows: padding behind a prompt, a shared beginning, several tokens a pass."""

    padded: bool
    shared: bool
    causal: bool


@dataclass(eq=False)
class RunState:
    """What is learnt about a model in the first call and kept for later ones.

    Calls from several threads take turns. It is not copied or pickled with its model: a copy
    starts anew.
    """

    lock: Any = field(default_factory=Lock)
    limit: TokenLimit = field(default_factory=TokenLimit)
    ways: _Ways | None = None
    packed: PackedLinears | None = None
    compiled: dict[int, Any] = field(default_factory=dict)

    def __reduce__(self) -> tuple[type[RunState], tuple[()]]:
        return RunState, ()


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs token sequences through equal models.

    Parameters
    ----------
    models : tuple of transformers.PreTrainedModel
        Replicas, one a device.
    batch_tokens : int
        Tokens in one pass, padding included.
    filler : int
        Token id for padding.
    prepacked, compiled : bool
        See `spexlens.models.pretrained.causal_lm.CausalLM`.
    state : RunState
        The same one in every call on these models.
    """

    models: tuple[Any, ...]
    batch_tokens: int
    filler: int
    prepacked: bool
    compiled: bool
    state: RunState

    def read(
        self,
        sequences: Sequence[Sequence[int]],
        tokens: int,
        read: Callable[[Outputs], torch.Tensor],
    ) -> FloatArray:
        """`read` of the outputs at the last `tokens` tokens of every sequence, `(m, k)`.

        Parameters
        ----------
        sequences : sequence of sequence of int (m,)
            Token ids, at least `tokens` each. Equal ones are run once.
        tokens : int
        read : callable
            From the outputs of b sequences to a tensor `(b, k)`.
        """
        distinct = list(dict.fromkeys(map(tuple, sequences)))
        with self.state.lock:
            ways = self._ways(distinct, tokens)
            if tokens > 1 and not ways.causal:
                raise InvalidInputError(
                    f"a {type(self.models[0]).__name__} lets tokens see those behind them; needed "
                    "a causal model to score a continuation of several tokens in one pass. Load "
                    "it with is_decoder=True, or score one token."
                )
            shared = min(common_prefix(distinct), min(map(len, distinct)) - tokens)
            if not ways.shared or shared * (len(distinct) - 1) < _WORTH_SHARING:
                shared = 0
            lengths = [len(ids) - shared + shared // _PREFIX_SHARE for ids in distinct]
            packed = self._batches(lengths, padded=ways.padded, tokens=tokens)

            @contextmanager
            def session(model: Any) -> Iterator[Run[FloatArray]]:
                with self._ready(model):
                    past = prefix_cache(model, distinct[0][:shared]) if shared else None
                    with self._compiled(model):  # not for the one pass of the prefix
                        yield lambda batch: _values(
                            model,
                            [distinct[row][shared:] for row in batch],
                            self.filler,
                            tokens,
                            read,
                            past,
                        )

            values = run_batches(self.models, packed, lengths, self.state.limit, session)
        rows = dict(zip(distinct, values, strict=True))
        return np.stack([rows[tuple(ids)] for ids in sequences])

    def generate(self, sequences: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        """The most probable tokens after every sequence, up to and with its end-of-text token."""
        distinct = list(dict.fromkeys(map(tuple, sequences)))
        lengths = [len(ids) + max_new_tokens for ids in distinct]
        with self.state.lock:
            # Padding goes before the prompts here: for models of attention alone, told positions.
            parameters = inspect.signature(self.models[0].forward).parameters
            padded = "position_ids" in parameters and self._ways(distinct).shared
            packed = self._batches(lengths, padded=padded, tokens=1)

            @contextmanager
            def session(model: Any) -> Iterator[Run[list[int]]]:
                with self._ready(model):
                    yield lambda batch: greedy(
                        model, [distinct[row] for row in batch], self.filler, max_new_tokens
                    )

            new = run_batches(self.models, packed, lengths, self.state.limit, session)
        texts = dict(zip(distinct, new, strict=True))
        return [texts[tuple(ids)] for ids in sequences]

    def _batches(self, lengths: list[int], *, padded: bool, tokens: int) -> list[list[int]]:
        vocabulary = int(self.models[0].config.get_text_config().vocab_size)
        return batches(
            lengths,
            self.state.limit.bound(self.batch_tokens),
            padded=padded,
            max_rows=max(1, _MAX_LOGITS // (tokens * vocabulary)),
        )

    @contextmanager
    def _ready(self, model: Any) -> Iterator[None]:
        with torch.inference_mode(), evaluating(model), self._packed(model):
            yield

    def _packed(self, model: Any) -> AbstractContextManager[None]:
        elsewhere = model.device.type != "cpu" or torch.is_autocast_enabled("cpu")
        if self.compiled or not self.prepacked or elsewhere:
            return nullcontext()
        if self.state.packed is None:
            self.state.packed = PackedLinears(self.batch_tokens)
        return self.state.packed.within(model)

    @contextmanager
    def _compiled(self, model: Any) -> Iterator[None]:
        """What is below the unembedding goes through torch.compile, if so chosen."""
        if not self.compiled:
            yield
            return
        body, kept = model.base_model, self.state.compiled
        if id(body) not in kept:
            kept[id(body)] = torch.compile(body.forward, dynamic=True)
        own = vars(body).get("forward")
        body.forward = kept[id(body)]
        try:
            yield
        finally:
            del body.forward
            if own is not None:
                body.forward = own

    def _ways(self, sequences: Sequence[Sequence[int]], tokens: int = 1) -> _Ways:
        if len(sequences) == tokens == 1:
            return _Ways(padded=False, shared=False, causal=True)  # a plain pass: nothing to try
        if self.state.ways is None:
            model = self.models[0]
            with torch.inference_mode(), evaluating(model):
                self.state.ways = _tried(model, max(sequences, key=len), self.filler)
        return self.state.ways


def _values(
    model: Any,
    sequences: list[tuple[int, ...]],
    filler: int,
    tokens: int,
    read: Callable[[Outputs], torch.Tensor],
    past: Any,
) -> list[FloatArray]:
    ends = torch.tensor([len(ids) for ids in sequences], device=model.device)[:, None]
    columns = ends + torch.arange(-tokens, 0, device=model.device)
    outputs = outputs_at(model, right_padded(sequences, filler, model.device), columns, past)
    return list(read(outputs).cpu().double().numpy())


def _tried(model: Any, ids: Sequence[int], filler: int) -> _Ways:
    """Which ways agree with plain passes on six tokens, whatever the architecture."""
    if depends_on_length(model.config):
        return _Ways(padded=False, shared=False, causal=True)
    long = list(islice(cycle(ids), 6))
    short = long[:4]

    def last_logits(rows: list[list[int]], past: Any = None) -> torch.Tensor:
        ends = torch.tensor([[len(row) - 1] for row in rows], device=model.device)
        return outputs_at(model, right_padded(rows, filler, model.device), ends, past).logits[:, 0]

    plain = torch.cat([last_logits([short]), last_logits([long])])
    bound = _ROUNDING.get(model.dtype, _ROUNDING_SHORT) * (plain.max() - plain.min())

    def agrees(logits: torch.Tensor) -> bool:
        return bool((logits - plain).abs().max() <= bound)

    padded = agrees(last_logits([short, long]))
    past = prefix_cache(model, long[:2])
    shared = past is not None and agrees(
        torch.cat([last_logits([row[2:]], past) for row in (short, long)])
    )
    return _Ways(padded, shared, causal=padded)
