"""Tiny models with random weights, and their tokenizers: real code, no download."""

from functools import cache

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    BloomConfig,
    FNetConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MPNetConfig,
    MptConfig,
    OPTConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    XLNetConfig,
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
_TOWERS = {
    name.format(side): size
    for side in ("encoder", "decoder")
    for name, size in {"{}_layers": 2, "{}_attention_heads": 4, "{}_ffn_dim": 48}.items()
}

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


_TEXTS = {**_SIZES, "num_labels": 3}
_TEXTS_GROUPED = {**_GROUPED, "num_labels": 3}
_NO_TABLE = {name: size for name, size in _TEXTS.items() if name != "max_position_embeddings"}
_ANOTHER = VOCABULARY.index("e")  # a padding token that is not the tokenizer's

CLASSIFIERS = {
    "bert": lambda: BertConfig(**_TEXTS, intermediate_size=48),
    "roberta": lambda: RobertaConfig(**_TEXTS, intermediate_size=48),  # positions from 3
    "mpnet": lambda: MPNetConfig(**_TEXTS, intermediate_size=48),  # positions from 2
    "bart": lambda: BartConfig(**_TEXTS, **_TOWERS, forced_eos_token_id=None),
    "t5": lambda: T5Config(
        **_NO_TABLE, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        decoder_start_token_id=2,
    ),
    "xlnet": lambda: XLNetConfig(  # reads the last column
        **_NO_TABLE, d_head=8, d_inner=48
    ),
    "fnet": lambda: FNetConfig(**_TEXTS, intermediate_size=48),  # mixes all columns
    "gpt2": lambda: GPT2Config(**_TEXTS),
    "gpt2, other padding": lambda: GPT2Config(**{**_TEXTS, "pad_token_id": _ANOTHER}),
    "gpt2, no padding": lambda: GPT2Config(**{**_TEXTS, "pad_token_id": None}),
    "llama, other padding": lambda: LlamaConfig(**{**_TEXTS_GROUPED, "pad_token_id": _ANOTHER}),
    "llama, no padding": lambda: LlamaConfig(**{**_TEXTS_GROUPED, "pad_token_id": None}),
    "llama, padding -1": lambda: LlamaConfig(**{**_TEXTS_GROUPED, "pad_token_id": -1}),
    "opt, other padding": lambda: OPTConfig(
        **{**_TEXTS, "pad_token_id": _ANOTHER}, ffn_dim=48, word_embed_proj_dim=32
    ),
    "bloom, no padding": lambda: BloomConfig(**{**_NO_TABLE, "pad_token_id": None}),
    "mpt, other padding": lambda: MptConfig(
        vocab_size=len(VOCABULARY), d_model=32, n_heads=4, n_layers=2, max_seq_len=POSITIONS,
        pad_token_id=_ANOTHER, num_labels=3, initializer_range=0.4,
    ),
    "phi3": lambda: Phi3Config(**{**CONFIGS["phi3"]().to_dict(), "num_labels": 3}),
}  # fmt: skip


@cache
def tiny_classifier(architecture: str = "bert", labels: int = 3):
    """A random classifier of one architecture of `CLASSIFIERS`, in eval mode; leave it so."""
    config = CLASSIFIERS[architecture]()
    config.num_labels = labels
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config).eval()


def tiny_tokenizer(
    *, bos: bool = True, before: tuple[str, ...] = (), after: tuple[str, ...] = ()
) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words and marks (spaces are dropped), with or without a BOS token.

    It puts the words `before` and `after` around every text, as others do special tokens.
    """
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if before or after:
        tokenizer.post_processor = TemplateProcessing(
            single=[*before, "$A", *after],
            special_tokens=[(word, VOCABULARY.index(word)) for word in {*before, *after}],
        )
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
