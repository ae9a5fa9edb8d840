"""What a model of transformers can be given: how many tokens, and which one as padding."""

from __future__ import annotations

from typing import Any

from spexlens.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("the limits of a model", "torch", "llm") from error

# Where configs tell the longest text: most models, and MPT.
_LENGTHS = ("max_position_embeddings", "max_seq_len")


def longest_text(model: Any) -> int | None:
    """Find the most tokens a model has positions for; None where it sets no limit.

    RoBERTa and its kind count positions from behind the padding token's number, so that a table of
    514 holds 512 tokens.
    """
    config = model.config.get_text_config()
    told = (getattr(config, name, None) for name in _LENGTHS)
    limit = next((int(length) for length in told if isinstance(length, int) and length > 0), None)
    if limit is None or not isinstance(model, torch.nn.Module):
        return limit
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int) and "position" in name.rpartition(".")[2]:
            table = getattr(module, "weight", None)
            if table is not None and len(table) == limit:
                return limit - padding - 1
    return limit


def padding_token(model: Any, tokenizer: Any) -> int:
    """Choose the id for padding: the config's, else the tokenizer's, else any in the vocabulary."""
    config = model.config.get_text_config()
    size = getattr(config, "vocab_size", None)
    for token in (getattr(config, "pad_token_id", None), getattr(tokenizer, "pad_token_id", None)):
        if isinstance(token, int) and token >= 0 and (size is None or token < size):
            return token
    return 0
