"""What models that write text have in common: the scores of tokens after a prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.pretrained.base import Pretrained
from spexlens.models.running.reading import Outputs, Read

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a language model", "torch", "llm") from error


@dataclass(frozen=True, eq=False)
class Generative(Pretrained, ABC):
    """A model whose next tokens are read; its kinds say how their prompts are run."""

    @abstractmethod
    def _read(self, prompts: Sequence[str], behind: list[int], read: Read) -> FloatArray:
        """`read` of the outputs at the end of every prompt and at each of the tokens behind it."""

    @property
    def vocabulary(self) -> int:
        """How many tokens the model can write."""
        return int(self.model.config.get_text_config(decoder=True).vocab_size)

    def token_text(self, token_id: int) -> str:
        """Tell the text of one token, its leading space included."""
        return str(self.tokenizer.decode([token_id]))

    def next_token_logits(self, prompts: Sequence[str], token_ids: Sequence[int]) -> FloatArray:
        """Compute the logits of some tokens as the next one after each prompt.

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
        return self._read(prompts, [], lambda outputs: outputs.logits[:, 0, wanted])

    def next_token_log_probabilities(
        self, prompts: Sequence[str], token_ids: Sequence[int]
    ) -> FloatArray:
        """Compute natural-log probabilities of some next tokens; see `next_token_logits`."""
        wanted = self._token_ids(token_ids)

        def read(outputs: Outputs) -> torch.Tensor:
            return outputs.logits[:, 0].log_softmax(dim=-1)[:, wanted]

        return self._read(prompts, [], read)

    def continuation_log_probabilities(
        self, prompts: Sequence[str], continuation_ids: Sequence[int]
    ) -> FloatArray:
        """Compute the natural-log probability of every token of a continuation, after each prompt.

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

        def read(outputs: Outputs) -> torch.Tensor:
            return outputs.logits.log_softmax(dim=-1)[:, range(len(target)), target]

        return self._read(prompts, target[:-1], read)

    def _token_ids(self, token_ids: Sequence[int]) -> list[int]:
        size = self.vocabulary
        wanted = [int(token) for token in token_ids]
        if not wanted or min(wanted) < 0 or max(wanted) >= size:
            raise InvalidInputError(
                f"token ids {wanted} given; needed at least one, each within 0 … {size - 1}."
            )
        return wanted
