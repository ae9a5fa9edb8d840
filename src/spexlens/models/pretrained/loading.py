"""Models and tokenizers from a name, a folder or the hub, on the devices asked for."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spexlens.errors import (
    InvalidInputError,
    MissingExtraError,
    SpexlensError,
    SpexlensWarning,
    shown,
)
from spexlens.models.pretrained.weights import locate
from spexlens.models.running.ways import sees_later_tokens

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
    by_config, by_model : callable
        From a config, or a loaded model, to what makes it none of this kind; "" for one that is.
    """

    auto_class: str
    noun: str
    remedy: str | None
    by_config: Callable[[Any], str] = lambda config: ""
    by_model: Callable[[Any], str] = lambda model: ""


_TWO_PARTS = (
    "it is an encoder-decoder, which reads a text in one part and answers in another. Choose a "
    "model of one part"
)
_MASKED = (
    "its tokens see those behind them, as those of masked language models do, which fill gaps and "
    "do not tell what comes next. Choose a model such as GPT, Llama or Qwen; or explain classes, "
    "by fit_probe on its Encoder"
)


def _no_causal_config(config: Any) -> str:
    if getattr(config, "is_encoder_decoder", False):
        return (
            f"{_TWO_PARTS}, such as GPT, Llama or Qwen; or load it by Seq2SeqLM.load, for prompts"
        )
    names = getattr(config, "architectures", None) or ()
    masked = any(name.endswith("ForMaskedLM") for name in names)
    return _MASKED if masked and not getattr(config, "is_decoder", False) else ""


def _no_causal_model(model: Any) -> str:
    return _MASKED if sees_later_tokens(model) else ""


def _no_seq2seq_config(config: Any) -> str:
    if getattr(config, "is_encoder_decoder", False):
        return ""
    return "it is no encoder-decoder. Load it by CausalLM.load"


def _no_seq2seq_model(model: Any) -> str:
    """Models of speech or pictures are encoder-decoders too."""
    main = getattr(model.get_encoder(), "main_input_name", "input_ids")
    return "" if main == "input_ids" else f"it reads {main}, not the tokens of a text"


def _no_encoder_config(config: Any) -> str:
    return f"{_TWO_PARTS}, such as BERT" if getattr(config, "is_encoder_decoder", False) else ""


def _no_encoder_model(model: Any) -> str:
    if "decoder_input_ids" in inspect.signature(model.forward).parameters:
        return f"{_TWO_PARTS}, such as BERT"
    main = getattr(model, "main_input_name", "input_ids")
    return "" if main == "input_ids" else f"it reads {main}, not the tokens of a text"


CAUSAL_LM = Kind(
    "AutoModelForCausalLM",
    "causal language model",
    "Choose a model that was trained with a language-model head.",
    _no_causal_config,
    _no_causal_model,
)
SEQ2SEQ = Kind(
    "AutoModelForSeq2SeqLM",
    "encoder-decoder that writes text",
    "Choose a model that was trained with a language-model head.",
    _no_seq2seq_config,
    _no_seq2seq_model,
)
ENCODER = Kind("AutoModel", "encoder", None, _no_encoder_config, _no_encoder_model)
CLASSIFIER = Kind(
    "AutoModelForSequenceClassification",
    "classifier",
    "It was not trained to classify: fit a probe on its embeddings instead, with fit_probe.",
)


def is_encoder_decoder(name_or_path: str | Path, trust_remote_code: bool = False) -> bool:
    """Tell by its config whether a model reads in one part and writes in another.

    False also for what cannot be found or read: loading it says why.
    """
    try:
        from transformers import AutoConfig

        source = locate(name_or_path, "language model")
        _check_hub(source)
        config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    except (ImportError, OSError, ValueError, KeyError, SpexlensError):
        return False
    return bool(getattr(config, "is_encoder_decoder", False))


def load_pretrained(
    kind: Kind,
    name_or_path: str | Path,
    dtype: str | torch.dtype,
    device: Device | Sequence[Device],
    trust_remote_code: bool = False,
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
    # Left open, transformers asks on standard input, and runs it.
    own_code = {"trust_remote_code": trust_remote_code}
    if trust_remote_code:
        warnings.warn(
            f"code that {source!r} brings is run, and can do whatever you can: trust_remote_code "
            "was given.",
            SpexlensWarning,
            stacklevel=4,
        )
    config: Any = None
    try:
        with _quiet(source):
            config = transformers.AutoConfig.from_pretrained(source, **own_code)
            _refuse(kind, source, config, kind.by_config(config))
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **own_code)
            model, report = getattr(transformers, kind.auto_class).from_pretrained(
                source, dtype=chosen_dtype, output_loading_info=True, **own_code
            )
    except InvalidInputError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError) as error:
        if method := _quantised_by(config):
            raise InvalidInputError(
                f"the weights of {source!r} are quantised ({method}) and cannot be loaded here: "
                f"{error}. Install what it needs, or choose the model in float32 or bfloat16."
            ) from error
        if not isinstance(error, (OSError, ValueError, KeyError)):
            raise
        if "trust_remote_code" in str(error):
            raise InvalidInputError(
                f"{source!r} brings code of its own, which is not run. Read it; then "
                "trust_remote_code=True (--trust-remote-code) runs it."
            ) from error
        if "Unrecognized configuration class" in str(error):  # and a list of all others
            _refuse(kind, source, config, f"transformers has none of the kind {config.model_type}")
        raise InvalidInputError(
            f"no {kind.noun} and tokenizer could be loaded from {source!r}: {error}"
        ) from error
    if kind.remedy is not None and (missing := sorted(report["missing_keys"])):
        raise InvalidInputError(
            f"{source!r} lacks {len(missing)} weights of a {kind.noun}: {shown(missing, 3)}. "
            f"{kind.remedy}"
        )
    model = _moved(model, devices[0])
    _refuse(kind, source, model.config, kind.by_model(model))
    copies = [_moved(copy.deepcopy(model), one) for one in devices[1:]]
    return (model, *copies), tokenizer


def _quantised_by(config: Any) -> str:
    """Name the method by which a model's weights are stored in few bits; "" for none."""
    told = getattr(config, "quantization_config", None)
    if told is None:
        return ""
    method = told.get("quant_method") if isinstance(told, dict) else told.quant_method
    return str(getattr(method, "value", method) or "by a method that its config does not name")


def _moved(model: Any, device: torch.device) -> Any:
    """Put a model on a device; one that is there stays, as some quantised ones cannot be moved."""
    return model if model.device == device else model.to(device)


def _refuse(kind: Kind, source: str, config: Any, reason: str) -> None:
    if reason:
        own = ", ".join(getattr(config, "architectures", None) or ()) or config.model_type
        raise InvalidInputError(f"{source!r} ({own}) is no {kind.noun}: {reason}.")


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
