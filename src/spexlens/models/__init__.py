"""Models that a lens can intervene on."""

import warnings
from contextlib import suppress
from importlib import import_module

from spexlens._support.notebooks import in_notebook

if in_notebook():  # transformers imports tqdm's notebook bars, which warn where widgets are missing
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.filterwarnings("ignore", message="IProgress not found")
        import_module("tqdm.auto")
