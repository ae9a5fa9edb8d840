"""Tiny causal language models with random weights, and their tokenizer: real code, no download."""

from functools import cache

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

_WORDS = """<unk> <s> <pad> a b c d e good bad not very film the was plot yes no
positive negative Review : Sentiment , . ( great fun"""
VOCABULARY = tuple(_WORDS.split())
POSITIONS = 64

_SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": 1,
    "eos_token_id": 1,
    "pad_token_id": 2,
    # The default 0.02 makes all logits nearly equal, and a wrong one would go unnoticed.
    "initializer_range": 0.4,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2, "intermediate_size": 48}

CONFIGS = {
    "llama": lambda: LlamaConfig(**_GROUPED),
    "gpt2": lambda: GPT2Config(**_SIZES),
    "qwen2": lambda: Qwen2Config(**_GROUPED),
    "gemma": lambda: GemmaConfig(**_GROUPED, head_dim=8),
    "gemma2": lambda: Gemma2Config(**_GROUPED, head_dim=8, sliding_window=4),
    "gemma3": lambda: Gemma3TextConfig(
        **_GROUPED,
        head_dim=8,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "qwen3": lambda: Qwen3Config(**_GROUPED, head_dim=8),
    "mistral": lambda: MistralConfig(**_GROUPED, sliding_window=4),
    "gpt_neox": lambda: GPTNeoXConfig(**_SIZES, intermediate_size=48),
    "bloom": lambda: BloomConfig(**_SIZES),  # takes no position_ids
    "opt": lambda: OPTConfig(**_SIZES, ffn_dim=48, word_embed_proj_dim=32),
    "mamba": lambda: MambaConfig(  # a recurrent state, no keys and values
        **{name: size for name, size in _SIZES.items() if "num_att" not in name}
    ),
    "lfm2": lambda: Lfm2Config(**_GROUPED, layer_types=["conv", "full_attention"]),
    "bert": lambda: BertConfig(**_SIZES, intermediate_size=48),  # sees what comes later
    "phi3": lambda: Phi3Config(  # other rotary angles for all tokens of texts longer than 12
        **_GROUPED,
        original_max_position_embeddings=12,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "factor": POSITIONS / 12,
            "short_factor": [1.0] * 4,
            "long_factor": [3.0] * 4,
        },
    ),
}
ARCHITECTURES = tuple(CONFIGS)


@cache
def tiny_model(architecture: str = "llama"):
    """A random model of one architecture of `CONFIGS`, in eval mode; shared: leave it so."""
    # Whoever asks first may be in inference mode, whose weights others could not pass through.
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIGS[architecture]())
    return model.eval()


def tiny_tokenizer(*, bos: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words and marks (spaces are dropped), with or without a BOS token."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"bos_token": "<s>"} if bos else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", **names
    )


def spaced_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer as of GPT-2, in which a space belongs to the word after it.

    It knows few words whole, each with and without its space; others fall into characters. Its ids
    do not fit the tiny models: it is for questions of tokens only.
    """
    merges, pieces = [], sorted(pre_tokenizers.ByteLevel.alphabet())
    for word in ("positive", "negative", "good", "Sentiment"):
        merges += [(word[:end], word[end]) for end in range(1, len(word))] + [("Ġ", word)]
    pieces += [left + right for left, right in merges]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
