"""Causal language models of transformers, scored in batches.

Ablations of one text give many short prompts of nearly equal length, often the same one twice. They
are run once each, sorted by length, and packed until a batch holds `batch_tokens` tokens, so that
hardly anything is spent on padding.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError, MissingExtraError, shown
from spexlens.models import zoo
from spexlens.models.batching import batches, evaluating, left_padded

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
        a CPU and 16,384 elsewhere. It changes speed and memory; values agree to about 1e-5.

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
        device: str | torch.device = "cpu",
        batch_tokens: int | None = None,
    ) -> CausalLM:
        """The model of a name in `zoo.MODELS`, a folder, or a hub name `owner/name`.

        Parameters
        ----------
        name_or_path : str or Path
        dtype : str or torch.dtype, default "float32"
            "bfloat16" is faster and noisy (its values depend on the batch by about 0.06 nats).
        device : str or torch.device, default "cpu"
        batch_tokens : int, optional
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
        chosen_dtype, chosen_device = _dtype(dtype), _device(device)
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise MissingExtraError("loading a model", "transformers", "llm") from error
        source = zoo.locate(name_or_path)
        try:
            tokenizer = AutoTokenizer.from_pretrained(source)
            model, report = AutoModelForCausalLM.from_pretrained(
                source, dtype=chosen_dtype, output_loading_info=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInputError(
                f"no causal language model and tokenizer could be loaded from {source!r}: {error}"
            ) from error
        # transformers fills missing weights with random numbers and only logs it.
        if missing := sorted(report["missing_keys"]):
            raise InvalidInputError(
                f"{source!r} lacks {len(missing)} weights of a causal language model: "
                f"{shown(missing, 3)}. Choose a model that was trained with a language-model head."
            )
        return CausalLM(model.to(chosen_device), tokenizer, str(name_or_path), batch_tokens)

    @property
    def max_tokens(self) -> int | None:
        """The longest prompt the model has positions for; None where its config sets no limit."""
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return None if limit is None else int(limit)

    # -- tokens ----------------------------------------------------------------------------------

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Token ids of `text`; with `special_tokens` those the tokenizer adds by default."""
        return self._encode([text], special_tokens)[0]

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
        return np.array([len(ids) for ids in self._sequences(_texts(prompts))], dtype=np.int64)

    def _encode(self, texts: list[str], special_tokens: bool) -> list[list[int]]:
        encoded = self.tokenizer(
            texts, add_special_tokens=special_tokens, return_attention_mask=False, verbose=False
        )
        return [list(map(int, ids)) for ids in encoded["input_ids"]]

    def _sequences(self, prompts: list[str]) -> list[list[int]]:
        """Token ids of every prompt: an empty one becomes BOS, one that is too long an error."""
        limit = self.max_tokens
        sequences = []
        for prompt, ids in zip(prompts, self._encode(prompts, special_tokens=True), strict=True):
            if limit is not None and len(ids) > limit:
                raise InvalidInputError(
                    f"the prompt {_beginning(prompt)} has {len(ids)} tokens; {self.name} has "
                    f"{limit} positions. Shorten the text or the template, or choose a model with "
                    "a longer context."
                )
            sequences.append(ids or [self._first_token(prompt)])
        return sequences

    def _first_token(self, prompt: str) -> int:
        bos = getattr(self.tokenizer, "bos_token_id", None)
        if bos is None:
            raise InvalidInputError(
                f"the prompt {prompt!r} has no tokens, and the tokenizer of {self.name} has no "
                "beginning-of-text token to stand for it. Use a template with some text of its "
                "own, or set tokenizer.bos_token."
            )
        return int(bos)

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
        return self._read(prompts, lambda logits: logits[:, wanted])

    def next_token_log_probabilities(
        self, prompts: Sequence[str], token_ids: Sequence[int]
    ) -> FloatArray:
        """Natural-log probabilities of some tokens as the next one; see `next_token_logits`."""
        wanted = self._token_ids(token_ids)
        return self._read(prompts, lambda logits: logits.log_softmax(dim=-1)[:, wanted])

    def _token_ids(self, token_ids: Sequence[int]) -> list[int]:
        size = int(self.model.config.get_text_config().vocab_size)
        wanted = [int(token) for token in token_ids]
        if not wanted or min(wanted) < 0 or max(wanted) >= size:
            raise InvalidInputError(
                f"token ids {wanted} given; needed at least one, each within 0 … {size - 1}."
            )
        return wanted

    def _read(
        self, prompts: Sequence[str], read: Callable[[torch.Tensor], torch.Tensor]
    ) -> FloatArray:
        """`read` of the logits `(b, vocabulary)` after every prompt, `(m, k)`; prompts batched."""
        distinct = list(dict.fromkeys(_texts(prompts)))
        sequences = self._sequences(distinct)
        parameters = inspect.signature(self.model.forward).parameters
        rows: dict[str, FloatArray] = {}
        # A model that takes no positions cannot be told where a padded prompt begins.
        padded = "position_ids" in parameters
        filler = getattr(self.tokenizer, "pad_token_id", None) or 0  # any token: it is masked
        packed = batches(list(map(len, sequences)), self._batch_tokens(), padded=padded)
        with evaluating(self.model), torch.inference_mode():
            for batch in packed:
                inputs = left_padded([sequences[row] for row in batch], filler, self.model.device)
                options = {"logits_to_keep": 1, "use_cache": False, **inputs}
                output = self.model(**{key: options[key] for key in options if key in parameters})
                logits = output.logits[:, -1]
                logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                values = read(logits).cpu().double().numpy()
                rows.update(
                    (distinct[row], value) for row, value in zip(batch, values, strict=True)
                )
        return np.stack([rows[prompt] for prompt in prompts])

    def _batch_tokens(self) -> int:
        on_cpu = self.model.device.type == "cpu"
        return self.batch_tokens or (_BATCH_TOKENS_CPU if on_cpu else _BATCH_TOKENS_GPU)


def _texts(prompts: Sequence[str]) -> list[str]:
    if isinstance(prompts, str):
        raise InvalidInputError(
            f"prompts were given as one string {_beginning(prompts)}; needed a list of strings. "
            "For one prompt, pass [prompt]."
        )
    if not prompts:
        raise InvalidInputError("no prompts were given; needed at least one.")
    return list(prompts)


def _beginning(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    chosen = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise InvalidInputError(
            f"dtype = {dtype!r} given; needed 'float32', 'bfloat16', 'float16' or 'float64'."
        )
    return chosen


def _device(device: str | torch.device) -> torch.device:
    try:
        # A device can be named well and still be absent; only an allocation tells.
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(
            f"device = {device!r} cannot be used here ({error}); 'cpu' always can."
        ) from error
