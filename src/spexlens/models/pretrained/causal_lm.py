"""Causal language models of transformers, scored in batches.

Ablations of one text give many prompts that begin alike, have nearly equal lengths, and are often
the same. What all begin with is run once; equal ones are run once; the rest is sorted by length and
packed until a batch holds `batch_tokens` tokens, so that hardly anything is spent on padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.pretrained.identity import model_identity
from spexlens.models.pretrained.loading import load_causal_lm
from spexlens.models.pretrained.prompt_tokens import PromptTokens
from spexlens.models.running.reading import Outputs
from spexlens.models.running.runner import Runner, RunState

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error

# SmolLM2 in float32, 40 prompts of 34 tokens, tokens per second of one CPU thread: 213 at 64 tokens
# a batch, 325 at 256, 322 at 512, 300 at 1,024, 270 at 2,048, where activations leave the cache. A
# GPU wants enough to fill it; that figure is a guess.
_BATCH_TOKENS_CPU, _BATCH_TOKENS_GPU = 512, 16_384


@dataclass(frozen=True, eq=False)
class CausalLM:
    """A causal language model of transformers with its tokenizer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With a language-model head. It is put into eval mode while scoring and back afterwards.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its own settings say which special tokens a prompt gets.
    name : str, optional
        For reports; the model's own name by default.
    batch_tokens : int, optional
        Tokens, padding included, in one forward pass; a longer prompt runs alone. By default 512 on
        a CPU and 16,384 elsewhere. Where that does not fit in memory, batches are halved, with a
        warning. It changes speed and memory; values agree to about 1e-5.
    replicas : tuple of transformers.PreTrainedModel
        Copies of `model` on other devices of this machine; batches go to whichever is free.
    prepacked : bool, default True
        Whether linear layers on a CPU use a copy of their weights in oneDNN's own layout where that
        is possible: faster, and as much memory again as these layers take (425 MB for SmolLM2).
        Copies are made in the first call, only where they fit in half of the free memory, kept, and
        renewed for weights that change. The model itself is as it was after every call.
    compiled : bool, default False
        Whether batches are run through torch.compile, for long runs: it compiles during the first
        batches, a few times and tens of seconds or more each. `prepacked` does not apply then.

    Notes
    -----
    A prompt's values equal those of a plain forward pass of it alone, up to rounding: about 1e-5 in
    float32. Where the first call finds that padding or a shared beginning would change a model's
    values, it does without. Hooks on the model see padding behind the shorter prompts of a batch,
    and the shared beginning in a pass of its own.

    Examples
    --------
    Any model and tokenizer will do; `CausalLM.load("smollm2")` brings both.

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    >>> words = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 2}, "<unk>"))
    >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
    >>> config = GPT2Config(
    ...     vocab_size=3, n_positions=8, n_embd=4, n_layer=1, n_head=1,
    ...     bos_token_id=None, eos_token_id=None,
    ... )
    >>> model = CausalLM(GPT2LMHeadModel(config), tokenizer, name="tiny")
    >>> model.next_token_logits(["a b", "a"], token_ids=[1, 2]).shape
    (2, 2)
    """

    model: Any
    tokenizer: Any
    name: str = ""
    batch_tokens: int | None = None
    replicas: tuple[Any, ...] = ()
    prepacked: bool = True
    compiled: bool = False
    _state: RunState = field(init=False, default_factory=RunState, repr=False)

    def __post_init__(self) -> None:
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise InvalidInputError(
                f"batch_tokens = {self.batch_tokens} given; needed at least 1 token a batch."
            )
        if not self.name:
            own = getattr(self.model.config, "name_or_path", "") or type(self.model).__name__
            object.__setattr__(self, "name", own)

    @staticmethod
    def load(
        name_or_path: str | Path,
        *,
        dtype: str | torch.dtype = "float32",
        device: str | torch.device | Sequence[str | torch.device] = "cpu",
        batch_tokens: int | None = None,
        prepacked: bool = True,
        compiled: bool = False,
    ) -> CausalLM:
        """The model of a name in `weights.MODELS`, a folder, or a hub name `owner/name`.

        Parameters
        ----------
        name_or_path : str or Path
        dtype : str or torch.dtype, default "float32"
            "bfloat16" is faster and noisy (its values depend on the batch by about 0.06 nats).
        device : str or torch.device, or a sequence of them, default "cpu"
            With several, such as ["cuda:0", "cuda:1"], each holds a copy of the model.
        batch_tokens, prepacked, compiled
            See the class.

        Raises
        ------
        UnknownNameError
            When the name stands in no table and is no folder.
        InvalidInputError
            When there is a folder or hub name, but no causal language model can be loaded from it.
        MissingExtraError
            When transformers is not installed.
        """
        (model, *replicas), tokenizer = load_causal_lm(name_or_path, dtype, device)
        return CausalLM(
            model,
            tokenizer,
            str(name_or_path),
            batch_tokens,
            replicas=tuple(replicas),
            prepacked=prepacked,
            compiled=compiled,
        )

    @property
    def max_tokens(self) -> int | None:
        """The longest prompt the model has positions for; None where its config sets no limit."""
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return None if limit is None else int(limit)

    def identity(self) -> dict[str, Any]:
        """Hashes of config, weights and tokenizer; see `models.identity.model_identity`."""
        return model_identity(self.model, self.tokenizer)

    # -- tokens ----------------------------------------------------------------------------------

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Token ids of `text`; with `special_tokens` those the tokenizer adds by default."""
        return self._tokens().encode([text], special_tokens=special_tokens)[0]

    def token_text(self, token_id: int) -> str:
        """The text of one token, its leading space included."""
        return str(self.tokenizer.decode([token_id]))

    def count_tokens(self, prompts: Sequence[str]) -> IntArray:
        """Number of tokens of every prompt as it will be run, `(m,)`.

        Raises
        ------
        InvalidInputError
            For a prompt that cannot be run: too long, or without tokens where there is no BOS.
        """
        sequences = self._tokens().sequences(prompts)
        return np.array([len(ids) for ids in sequences], dtype=np.int64)

    def _tokens(self) -> PromptTokens:
        return PromptTokens(self.tokenizer, self.name, self.max_tokens)

    # -- scores ----------------------------------------------------------------------------------

    def next_token_logits(self, prompts: Sequence[str], token_ids: Sequence[int]) -> FloatArray:
        """Logits of some tokens as the next one after each prompt.

        Parameters
        ----------
        prompts : sequence of str (m,)
            Equal prompts are run once.
        token_ids : sequence of int (k,)

        Returns
        -------
        float array (m, k)

        Raises
        ------
        InvalidInputError
            For a prompt that is too long, one without tokens where the tokenizer has no BOS, or a
            token id outside the vocabulary.
        """
        wanted = self._token_ids(token_ids)
        sequences = self._tokens().sequences(prompts)
        return self._runner().read(sequences, 1, lambda outputs: outputs.logits[:, 0, wanted])

    def next_token_log_probabilities(
        self, prompts: Sequence[str], token_ids: Sequence[int]
    ) -> FloatArray:
        """Natural-log probabilities of some tokens as the next one; see `next_token_logits`."""
        wanted = self._token_ids(token_ids)

        def read(outputs: Outputs) -> torch.Tensor:
            return outputs.logits[:, 0].log_softmax(dim=-1)[:, wanted]

        return self._runner().read(self._tokens().sequences(prompts), 1, read)

    def continuation_log_probabilities(
        self, prompts: Sequence[str], continuation_ids: Sequence[int]
    ) -> FloatArray:
        """Natural-log probability of every token of one continuation, after each prompt.

        Parameters
        ----------
        prompts : sequence of str (m,)
        continuation_ids : sequence of int (t,)

        Returns
        -------
        float array (m, t)
            Of token j given the prompt and tokens 0 … j - 1; a row's sum is the log-probability of
            the whole continuation.

        Raises
        ------
        InvalidInputError
            As `next_token_logits`, and for a prompt too long to be continued.
        """
        target = self._token_ids(continuation_ids)
        before = self._tokens().sequences(prompts, len(target) - 1)
        sequences = [ids + target[:-1] for ids in before]

        def read(outputs: Outputs) -> torch.Tensor:
            return outputs.logits.log_softmax(dim=-1)[:, range(len(target)), target]

        return self._runner().read(sequences, len(target), read)

    def last_hidden(self, prompts: Sequence[str]) -> FloatArray:
        """What the unembedding reads after each prompt, `(m, d)`: the last token's final state.

        Raises
        ------
        InvalidInputError
            As `next_token_logits`, and for a model that does not say what its unembedding is.
        """

        def read(outputs: Outputs) -> torch.Tensor:
            if outputs.hidden is None:
                raise InvalidInputError(
                    f"{self.name} has no output embeddings that transformers knows of; needed to "
                    "tell its last hidden state."
                )
            return outputs.hidden[:, 0].float()

        return self._runner().read(self._tokens().sequences(prompts), 1, read)

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """The most probable continuation of each prompt, token by token (greedy).

        Parameters
        ----------
        prompts : sequence of str (m,)
        max_new_tokens : int
            At most so many tokens; an end-of-text token ends a text before.

        Returns
        -------
        list of str (m,)
            The new text alone, without special tokens.
        """
        if max_new_tokens < 1:
            raise InvalidInputError(f"max_new_tokens = {max_new_tokens} given; needed at least 1.")
        sequences = self._tokens().sequences(prompts, max_new_tokens)
        new = self._runner().generate(sequences, max_new_tokens)
        return [str(self.tokenizer.decode(ids, skip_special_tokens=True)) for ids in new]

    def _token_ids(self, token_ids: Sequence[int]) -> list[int]:
        size = int(self.model.config.get_text_config().vocab_size)
        wanted = [int(token) for token in token_ids]
        if not wanted or min(wanted) < 0 or max(wanted) >= size:
            raise InvalidInputError(
                f"token ids {wanted} given; needed at least one, each within 0 … {size - 1}."
            )
        return wanted

    def _runner(self) -> Runner:
        usual = _BATCH_TOKENS_CPU if self.model.device.type == "cpu" else _BATCH_TOKENS_GPU
        return Runner(
            models=(self.model, *self.replicas),
            batch_tokens=self.batch_tokens or usual,
            filler=getattr(self.tokenizer, "pad_token_id", None) or 0,  # any token: none sees it
            prepacked=self.prepacked,
            compiled=self.compiled,
            state=self._state,
        )
