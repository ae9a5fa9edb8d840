"""Models and tokenizers from a name, a folder or the hub, on the devices asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError, shown
from spexlens.models.pretrained.weights import locate

try:
    import torch
except ImportError as error:
    raise MissingExtraError("loading a model", "torch", "llm") from error

Device = str | torch.device


@dataclass(frozen=True)
class Kind:
    """One kind of model to load.

    Attributes
    ----------
    auto_class : str
        Of transformers: "AutoModel", "AutoModelForCausalLM", ….
    noun : str
        For messages.
    remedy : str, optional
        What to do where the source lacks weights, which transformers fills with random numbers and
        only logs; None where what is read off the model does not depend on them.
    """

    auto_class: str
    noun: str
    remedy: str | None


CAUSAL_LM = Kind(
    "AutoModelForCausalLM",
    "causal language model",
    "Choose a model that was trained with a language-model head.",
)
ENCODER = Kind("AutoModel", "encoder", None)
CLASSIFIER = Kind(
    "AutoModelForSequenceClassification",
    "classifier",
    "It was not trained to classify: fit a probe on its embeddings instead, with fit_probe.",
)


def load_pretrained(
    kind: Kind,
    name_or_path: str | Path,
    dtype: str | torch.dtype,
    device: Device | Sequence[Device],
) -> tuple[tuple[Any, ...], Any]:
    """Load the model, once a device, and its tokenizer; see `Pretrained.load`."""
    chosen_dtype = _dtype(dtype)
    wanted = [device] if isinstance(device, (str, torch.device)) else device
    devices = [_device(one) for one in wanted]
    if not devices:
        raise InvalidInputError("device = [] given; needed at least one, such as 'cpu'.")
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("loading a model", "transformers", "llm") from error
    source = locate(name_or_path, kind.noun)
    _check_hub(source)
    try:
        with _quiet(source):
            tokenizer = transformers.AutoTokenizer.from_pretrained(source)
            model, report = getattr(transformers, kind.auto_class).from_pretrained(
                source, dtype=chosen_dtype, output_loading_info=True
            )
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInputError(
            f"no {kind.noun} and tokenizer could be loaded from {source!r}: {error}"
        ) from error
    if kind.remedy is not None and (missing := sorted(report["missing_keys"])):
        raise InvalidInputError(
            f"{source!r} lacks {len(missing)} weights of a {kind.noun}: {shown(missing, 3)}. "
            f"{kind.remedy}"
        )
    copies = [copy.deepcopy(model).to(one) for one in devices[1:]]
    return (model.to(devices[0]), *copies), tokenizer


def _check_hub(source: str) -> None:
    """Ask the hub once for a model that is not on this disk; transformers retries for long."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    if Path(source).is_dir():
        return
    try:
        if isinstance(try_to_load_from_cache(source, "config.json"), str):
            return
        get_hf_file_metadata(hf_hub_url(source, "config.json"))
    except Exception as error:  # a name that none can have, or errors of the HTTP library
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInputError(
            f"the model {source!r} lies in no folder or cache here, and the hub did not give it "
            f"({reason.rstrip('.')}). Check the name and the connection."
        ) from error


@contextmanager
def _quiet(source: str) -> Iterator[None]:
    """No bar for weights that lie on this disk; a download keeps its own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if shown and Path(source).is_dir():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    chosen = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise InvalidInputError(
            f"dtype = {dtype!r} given; needed 'float32', 'bfloat16', 'float16' or 'float64'."
        )
    return chosen


def _device(device: Device) -> torch.device:
    try:
        # A device can be named well and still be absent; only an allocation tells.
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(
            f"device = {device!r} cannot be used here ({error}); 'cpu' always can."
        ) from error
