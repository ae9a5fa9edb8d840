"""Causal language models of transformers, scored in batches.

Ablations of one text give many prompts that begin alike, have nearly equal lengths, and are often
the same. What all begin with is run once; equal ones are run once; the rest is sorted by length and
packed until a batch holds `batch_tokens` tokens, so that hardly anything is spent on padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError, NoDerivativeError
from spexlens.models.pretrained.generative import Generative
from spexlens.models.pretrained.loading import CAUSAL_LM
from spexlens.models.pretrained.prompt_tokens import PromptTokens
from spexlens.models.running.reading import Outputs, Read, Reader
from spexlens.models.running.runner import Runner
from spexlens.models.running.tracing import Pull, Traceable, trace

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error


_MOST_ROWS = 64  # with derivatives, whose logits are kept


@dataclass(frozen=True, eq=False)
class CausalLM(Generative):
    """A causal language model of transformers with its tokenizer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With a language-model head.
    tokenizer, name, batch_tokens, replicas, prepacked, compiled
        See `spexlens.models.pretrained.base.Pretrained`.
    reader : Reader, optional
        How its prompts are run; by default as they are.
    verbatim : bool, default False
        Whether the tokenizer adds no special tokens: prompts have their own, as those of a chat
        template do.

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

    kind = CAUSAL_LM

    reader: Reader | None = None
    verbatim: bool = False

    def as_written(self) -> CausalLM:
        """Give the same model, its prompts read as written: no special tokens are added."""
        return replace(self, verbatim=True)

    def read_by(self, reader: Reader) -> CausalLM:
        """Give the same model, its prompts run in another way; all scores are read off that.

        Its identity stays the model's: what the reader does is for the subject to tell.
        """
        return replace(self, reader=reader)

    def identity(self) -> dict[str, Any]:
        """Give the model's, and whether its prompts are read as they are written."""
        own = super().identity()
        return {**own, "special_tokens": "as written"} if self.verbatim else own

    # -- tokens ----------------------------------------------------------------------------------

    @property
    def tokens(self) -> PromptTokens:
        """The tokenizer; what it puts behind a text is left out, as the next token is read."""
        return replace(super().tokens, continued=True, verbatim=self.verbatim)

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Give the token ids of `text`; with `special_tokens` those that a prompt begins with."""
        return self.tokens.encode([text], special_tokens=special_tokens)[0]

    # -- what is read ----------------------------------------------------------------------------

    def last_hidden(self, prompts: Sequence[str]) -> FloatArray:
        """Give what the unembedding reads after each prompt, `(m, d)`: the last token's state.

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

        return self._read(prompts, [], read)

    def slopes(
        self,
        prompts: Sequence[str],
        measure: Callable[[CausalLM, tuple[str, ...]], FloatArray],
        pull: Pull | None = None,
    ) -> list[dict[str, FloatArray]]:
        """Differentiate a score of every prompt by a factor 1 on what its reader can weigh.

        Parameters
        ----------
        prompts : sequence of str (m,)
        measure : callable
            From this model, its prompts read in a way of its own, and some prompts to their values
            `(b,)`, or `(b, q)` with the score first.
        pull : callable, optional
            From all that `measure` read to its derivatives by that; by differences otherwise.

        Returns
        -------
        list of dict (m,)
            "inputs" `(t,)` by the attention that the others pay to every token of the prompt, or by
            its embedding in models that read no mask of four dimensions; where tokens are hidden
            "visible" `(t,)` instead; under gates "gates" as well.

        Raises
        ------
        NoDerivativeError
            Where autograd cannot pass, or the score changes by jumps.
        """
        reader = self._reader()
        if not isinstance(reader, Traceable):
            raise NoDerivativeError(
                f"a {type(reader).__name__} reads the prompts of {self.name}, which tells no "
                "derivatives. Leave gradients out, or give 0."
            )
        sequences = self.tokens.sequences(prompts)
        passes = self.passes.alone()

        def run(model: Any, batch: list[int]) -> list[dict[str, FloatArray]]:
            own = tuple(prompts[row] for row in batch)
            found = trace(
                reader, model, batch, lambda other: measure(self.read_by(other), own), pull,
                check=not passes.state.differentiated,
            )  # fmt: skip
            passes.state.differentiated = True
            return [
                {
                    name: part[i] if name == "gates" else part[i][: len(sequences[row])]
                    for name, part in found.items()
                }
                for i, row in enumerate(batch)
            ]

        return passes.run(
            [len(ids) for ids in sequences],
            lambda model: nullcontext(lambda batch: run(model, batch)),
            padded=passes.ways(sequences).padded,
            max_rows=_MOST_ROWS,
            derivatives=True,
        )

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Write the most probable continuation of each prompt, token by token (greedy).

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
        sequences = self.tokens.sequences(prompts, max_new_tokens)
        new = self._reader().generate(sequences, max_new_tokens)
        return [str(self.tokenizer.decode(ids, skip_special_tokens=True)) for ids in new]

    def _reader(self) -> Reader:
        return self.reader or Runner(self.passes, self.filler)

    def _read(self, prompts: Sequence[str], behind: list[int], read: Read) -> FloatArray:
        """`read` of the outputs at the end of every prompt and at each of the tokens behind it."""
        sequences = [[*ids, *behind] for ids in self.tokens.sequences(prompts, len(behind))]
        return self._reader().read(sequences, 1 + len(behind), read)


def as_causal(model: Any) -> CausalLM:
    """Give a model that is a `CausalLM`; an error with what to do for another.

    Raises
    ------
    InvalidInputError
    """
    if not isinstance(model, CausalLM):
        raise InvalidInputError(
            f"a {type(model).__name__} was given, whose parts are not ablated here; needed a model "
            "of one part, a CausalLM such as GPT, Llama or Qwen. Of an encoder-decoder the words "
            "of a prompt can be explained: prompt_game, `spexlens prompt`."
        )
    return model
