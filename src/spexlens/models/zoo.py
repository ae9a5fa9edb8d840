"""A language model by name: the door to `models/pretrained`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spexlens.models.pretrained.causal_lm import CausalLM
    from spexlens.models.pretrained.seq2seq import Seq2SeqLM


def load_model(
    name_or_path: str | Path,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> CausalLM | Seq2SeqLM:
    """Load the model and tokenizer of a known name, a folder or a hub name, ready to score.

    Parameters
    ----------
    name_or_path : str or Path
        A key of `spexlens.models.pretrained.weights.MODELS`, such as "smollm2"; else a folder with
        a transformers model; else a hub name `owner/name`.
    dtype, device, trust_remote_code
        See `CausalLM.load`, which this calls.

    Returns
    -------
    CausalLM or Seq2SeqLM
        The second for an encoder-decoder, such as T5 or BART, as its config says.
    """
    from spexlens.models.pretrained.loading import is_encoder_decoder  # loads torch

    if is_encoder_decoder(name_or_path, trust_remote_code):
        from spexlens.models.pretrained.seq2seq import Seq2SeqLM

        return Seq2SeqLM.load(
            name_or_path, dtype=dtype, device=device, trust_remote_code=trust_remote_code
        )
    from spexlens.models.pretrained.causal_lm import CausalLM

    return CausalLM.load(
        name_or_path, dtype=dtype, device=device, trust_remote_code=trust_remote_code
    )
