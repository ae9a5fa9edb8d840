"""Passes of a model, or of equal copies of it: in turns, in batches, as fast as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.running.attention import misreads_masks
from spexlens.models.running.batching import batches, differentiating, evaluating
from spexlens.models.running.prepacked import PackedLinears
from spexlens.models.running.quantised import reading
from spexlens.models.running.ways import PLAIN, Ways, find_ways, generates_alike, pads_alike
from spexlens.models.running.workers import Result, Run, TokenLimit, run_batches

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a model run here", "torch", "llm") from error

# SmolLM2 in float32, 40 prompts of 34 tokens, tokens per second of one CPU thread: 213 at 64 tokens
# a batch, 325 at 256, 322 at 512, 300 at 1,024, 270 at 2,048, where activations leave the cache. A
# GPU wants enough to fill it; that figure is a guess.
_BATCH_TOKENS_CPU, _BATCH_TOKENS_GPU = 512, 16_384


@dataclass(eq=False)
class PassState:
    """What is learnt about a model in the first call and kept for later ones.

    Calls from several threads take turns. It is not copied or pickled with its model: a copy
    starts anew.

    Attributes
    ----------
    lock, limit, packed, compiled
        For `Passes`.
    backward : TokenLimit
        Of passes with derivatives, which hold every layer's activations.
    ways : Ways, optional
        Of a language model.
    generates : (int, bool, bool)
        Whether transformers generates the text of plain passes, of other lengths together and
        alone, and at how many tokens that was tried.
    pads : bool
        Whether texts padded to one length, the padding masked, had the values they have alone.
    padding : float
        The largest share of padding for which that was tried; nothing was at 0.
    heads : set
        Sites that were found to be whole heads.
    norms : dict
        Norms behind output projections, by the names of these.
    attends : bool
        Whether attention masks of four dimensions were found to be read as is meant.
    attended : int
        The length of the longest prompt on which that was tried.
    differentiated : bool
        Whether derivatives were held against differences.
    alone : bool
        Whether the model was found to refuse several texts in one pass.
    causal : bool, optional
        Whether the tokens of an encoder-decoder's answer were found to see no later ones.
    """

    lock: Any = field(default_factory=RLock)
    limit: TokenLimit = field(default_factory=TokenLimit)
    backward: TokenLimit = field(default_factory=TokenLimit)
    ways: Ways | None = None
    generates: tuple[int, bool, bool] = (0, True, True)
    heads: set[Any] = field(default_factory=set)
    norms: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    pads: bool = True
    padding: float = 0.0
    attends: bool = True
    attended: int = 0
    differentiated: bool = False
    alone: bool = False
    causal: bool | None = None
    packed: PackedLinears | None = None
    compiled: dict[int, Any] = field(default_factory=dict)

    def __reduce__(self) -> tuple[type[PassState], tuple[()]]:
        return PassState, ()


@dataclass(frozen=True, eq=False)
class Passes:
    """How the passes of equal models are run.

    Parameters
    ----------
    models : tuple of transformers.PreTrainedModel
        Copies of one model, one a device.
    batch_tokens : int, optional
        Tokens in one pass, padding included; 512 by default on a CPU, 16,384 elsewhere.
    prepacked, compiled : bool
        See `spexlens.models.pretrained.base.Pretrained`.
    state : PassState
        The same one in every call on these models.
    """

    models: tuple[Any, ...]
    batch_tokens: int | None = None
    prepacked: bool = True
    compiled: bool = False
    state: PassState = field(default_factory=PassState, repr=False)

    def __post_init__(self) -> None:
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise InvalidInputError(
                f"batch_tokens = {self.batch_tokens} given; needed at least 1 token a batch."
            )

    @property
    def model(self) -> Any:
        """The first copy."""
        return self.models[0]

    @property
    def tokens(self) -> int:
        """Tokens in one pass, as far as memory was found to allow them."""
        usual = _BATCH_TOKENS_CPU if self.model.device.type == "cpu" else _BATCH_TOKENS_GPU
        return self.state.limit.bound(self.batch_tokens or usual)

    def alone(self, batch_tokens: int | None = None) -> Passes:
        """Keep those of the first copy, uncompiled, so that hooks can act on them."""
        return replace(
            self,
            models=self.models[:1],
            batch_tokens=batch_tokens if batch_tokens is not None else self.batch_tokens,
            compiled=False,
        )

    def run(
        self,
        lengths: Sequence[int],
        session: Callable[[Any], AbstractContextManager[Run[Result]]],
        *,
        padded: bool,
        max_rows: int | None = None,
        derivatives: bool = False,
    ) -> list[Result]:
        """Gather the results of all rows, run in batches in eval and inference mode.

        Parameters
        ----------
        lengths : sequence of int (m,)
            Tokens of every row.
        session : callable
            See `spexlens.models.running.workers.run_batches`.
        padded : bool
            Whether a batch may hold rows of different lengths.
        max_rows : int, optional
            Bound on the rows of a batch.
        derivatives : bool, default False
            Whether to run with autograd instead, the weights fixed.
        """
        limit = self.state.backward if derivatives else self.state.limit

        @contextmanager
        def ready(model: Any) -> Iterator[Run[Result]]:
            mode = differentiating(model) if derivatives else reading(model)
            packed = nullcontext() if derivatives else self._packed(model)
            with mode, evaluating(model), packed, session(model) as run:
                yield run

        with self.state.lock:
            tokens = limit.bound(self.tokens)
            packed = batches(lengths, tokens, padded=padded, max_rows=max_rows)
            return run_batches(self.models, packed, lengths, limit, ready)

    def ways(self, sequences: Sequence[Sequence[int]], tokens: int = 1) -> Ways:
        """Tell what a language model allows for reading the last `tokens` tokens of some sequences.

        Raises
        ------
        InvalidInputError
            For several tokens of a model that is not causal.
        """
        if len(sequences) == tokens == 1:
            return PLAIN
        with self.state.lock:
            before = self.state.ways
            if before is None or not before.known(max(map(len, sequences))):
                with reading(self.model), evaluating(self.model):
                    found = find_ways(self.model, sequences)
                self.state.ways = found if before is None else before.also(found)
            ways = self.state.ways or PLAIN
        if tokens > 1 and not ways.causal:
            raise InvalidInputError(
                f"a {type(self.model).__name__} lets tokens see those behind them; needed a "
                "causal model to score a continuation of several tokens in one pass. Load it with "
                "is_decoder=True, or score one token."
            )
        return ways

    def generates(self, sequences: Sequence[Sequence[int]], filler: int) -> tuple[bool, bool]:
        """Tell whether transformers may generate texts of other lengths together, or at all.

        Tried on the shortest and the longest sequence, and again on longer ones.
        """
        pair = [min(sequences, key=len), max(sequences, key=len)]
        with self.state.lock:
            tokens, together, alone = self.state.generates
            if alone and len(pair[1]) > tokens:
                with reading(self.model), evaluating(self.model):
                    together = together and generates_alike(self.model, pair, filler)
                    alone = together or generates_alike(self.model, pair[1:], filler)
                self.state.generates = (len(pair[1]), together, alone)
            return together, alone

    def attends(self, ids: Sequence[int]) -> bool:
        """Whether a language model reads attention masks of four dimensions, tried on a prompt.

        It is tried anew on a prompt of more than twice the length.
        """
        with self.state.lock:
            if self.state.attends and len(ids) > 2 * self.state.attended:
                self.state.attends = not misreads_masks(self.model, list(ids))
                self.state.attended = len(ids)
            return self.state.attends

    def pads(self, lengths: Sequence[int], read: Callable[[Any, list[int]], torch.Tensor]) -> bool:
        """Whether texts of other lengths, padding masked, may share a batch: tried on two of them.

        Parameters
        ----------
        lengths : sequence of int (m,)
            Tokens of every text.
        read : callable
            From a model and numbers of texts to `(b, k)`.
        """
        share = 1 - min(lengths) / max(lengths)
        with self.state.lock:
            # What little padding changes can be too little to be seen: more of it is tried anew.
            if self.state.pads and share > 2 * self.state.padding:
                with reading(self.model), evaluating(self.model):
                    self.state.pads = pads_alike(self.model, lengths, read)
                self.state.padding = share
            return self.state.pads

    def _packed(self, model: Any) -> AbstractContextManager[None]:
        elsewhere = model.device.type != "cpu" or torch.is_autocast_enabled("cpu")
        if self.compiled or not self.prepacked or elsewhere:
            return nullcontext()
        if self.state.packed is None:
            self.state.packed = PackedLinears(self.tokens)
        return self.state.packed.within(model)

    @contextmanager
    def compiling(self, model: Any) -> Iterator[None]:
        """Send what is below the unembedding through torch.compile in the block, if so chosen."""
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
