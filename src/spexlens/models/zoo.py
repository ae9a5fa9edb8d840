"""A language model by name: the door to `models/pretrained`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spexlens.models.pretrained.causal_lm import CausalLM


def load_model(
    name_or_path: str | Path,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> CausalLM:
    """Load the model and tokenizer of a known name, a folder or a hub name, ready to score.

    Parameters
    ----------
    name_or_path : str or Path
        A key of `spexlens.models.pretrained.weights.MODELS`, such as "smollm2"; else a folder with
        a transformers model; else a hub name `owner/name`.
    dtype, device, trust_remote_code
        See `CausalLM.load`, which this calls.
    """
    from spexlens.models.pretrained.causal_lm import CausalLM  # loads torch

    return CausalLM.load(
        name_or_path, dtype=dtype, device=device, trust_remote_code=trust_remote_code
    )
