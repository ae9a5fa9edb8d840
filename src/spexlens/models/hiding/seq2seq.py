"""An encoder-decoder that reads one prompt with some of its tokens hidden from attention.

The encoder's own attention and the decoder's attention to it have the same mask, so a hidden token
is seen by no other, nor by the answer; tokens and positions stay.
"""

from __future__ import annotations

from spexlens.core.masks import BoolArray
from spexlens.models.pretrained.seq2seq import Seq2SeqLM


def hidden_from_seq2seq(lm: Seq2SeqLM, visible: BoolArray) -> Seq2SeqLM:
    """Make the model as it reads m equal prompts, row i with only `visible[i]` `(m, t)`."""
    return lm.seeing(visible)
