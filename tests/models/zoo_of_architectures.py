"""A tiny random model of every decoder and encoder kind that transformers builds from a config.

Windows, chunks and what an indexer keeps are all `WINDOW` tokens, so that short prompts are longer
than they; four layers, so that every pattern of kinds of layers appears.
"""

from __future__ import annotations

import copy
import dataclasses
from functools import cache
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto import modeling_auto as auto

LAYERS, WIDTH, HEADS, KEY_HEADS, HEAD_SIZE = 4, 32, 4, 2, 8
VOCABULARY, POSITIONS, WINDOW = 48, 96, 8
MOST_WEIGHTS = 3_000_000

DECODERS = tuple(sorted(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
CLASSIFIERS = tuple(
    sorted(
        kind
        for kind in auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
        if kind not in DECODERS or kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
)
"""Encoders, encoder-decoders, and decoders that can be encoders; those of `DECODERS` alone not."""

_LAYERED = dict.fromkeys(
    ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers",
     "num_decoder_layers", "num_encoder_layers"),
    LAYERS,
)  # fmt: skip
_WIDE = dict.fromkeys(
    ("hidden_size", "n_embd", "d_model", "emb_dim", "dim", "embedding_size", "embedding_dim",
     "word_embed_proj_dim", "input_embedding_size", "output_embedding_size", "d_latents",
     "entity_emb_size", "prediction_head_size", "cross_attention_hidden_size", "lru_width",
     "backbone_hidden_size", "mamba_d_ssm"),
    WIDTH,
)  # fmt: skip
_HEADED = dict.fromkeys(
    ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads",
     "decoder_attention_heads", "attention_heads", "num_encoder_attention_heads",
     "num_decoder_attention_heads", "num_self_attention_heads", "num_cross_attention_heads",
     "swa_num_attention_heads", "linear_num_heads", "index_n_heads", "indexer_n_heads"),
    HEADS,
)  # fmt: skip
_INNER = dict.fromkeys(
    ("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim", "n_inner", "d_ff",
     "d_inner", "dim_ff", "dff", "hidden_dim", "ffn_hidden_size", "feed_forward_size",
     "intermediate_size_mlp", "dense_intermediate_size", "prefix_dense_intermediate_size"),
    48,
)  # fmt: skip
_HEAD_SIZED = dict.fromkeys(
    ("head_dim", "swa_head_dim", "d_head", "d_kv", "dim_head", "attention_head_size", "kv_channels",
     "linear_head_dim", "linear_key_head_dim", "linear_value_head_dim", "index_head_dim",
     "indexer_head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "query_pre_attn_scalar",
     "mamba_head_dim", "global_head_dim", "rotary_dim"),
    HEAD_SIZE,
)  # fmt: skip
_WINDOWED = dict.fromkeys(
    ("sliding_window", "sliding_window_size", "window_size", "attention_window_size",
     "attention_chunk_size", "local_attention", "keep_window_size", "index_topk", "chunk_size",
     "mamba_chunk_size", "local_attention_window_len", "attention_window", "block_size",
     "local_transformer_stride", "local_attn_chunk_length", "lsh_attn_chunk_length",
     "indexer_budget"),
    WINDOW,
)  # fmt: skip
_OF_EXPERTS = {
    **dict.fromkeys(
        ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4
    ),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts"), 2),
    **dict.fromkeys(
        ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "n_group",
         "topk_group", "first_k_dense_replace", "num_dense_layers", "decoder_sparse_step",
         "moe_layer_start_index"),
        1,
    ),
    **dict.fromkeys(
        ("moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size",
         "shared_experts_intermediate_size", "moe_shared_expert_intermediate_size",
         "expert_ffn_hidden_size", "router_hidden_size"),
        16,
    ),
}  # fmt: skip
_POSITIONS = dict.fromkeys(
    ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length",
     "max_target_positions", "max_source_positions"),
    POSITIONS,
)  # fmt: skip
_RECURRENT = {
    "mamba_d_state": 8, "state_size": 8, "ssm_state_size": 8, "mamba_expand": 2, "expand": 2,
    "mamba_n_heads": HEADS, "mamba_num_heads": HEADS, "n_mamba_heads": 2, "mamba_n_groups": 1,
    "n_groups": 1, "mamba_ngroups": 1, "mamba_d_head": 16, "mamba_headdim": 16,
    "linear_num_key_heads": HEADS, "linear_num_value_heads": 2 * HEADS,
    "kv_lora_rank": 16, "q_lora_rank": 16, "o_lora_rank": 16, "v_head_dim": 12, "o_groups": 2,
    "laurel_rank": 8, "adapter_rank": 8, "hc_lowrank": 8, "hidden_size_per_layer_input": 8,
    "d_rel": 4, "rel_extent": 16, "gated_norm_rank": 4, "attention_hidden_size": WIDTH,
    "embedding_rank": 8, "time_step_rank": 4, "mamba_dt_rank": 4,
}  # fmt: skip
_WORDS = {
    "vocab_size": VOCABULARY, "vocab_size_per_layer_input": VOCABULARY, "entity_vocab_size": 8,
    "unpadded_vocab_size": VOCABULARY, "decoder_vocab_size": VOCABULARY, "bos_token_id": 1,
    "eos_token_id": 1, "pad_token_id": 2, "pad_index": 2, "eos_index": 1, "bos_index": 1,
    "decoder_start_token_id": 2, "forced_eos_token_id": None, "eod_token_id": 1,
    "sep_token_id": 1, "cls_token_id": 1, "mask_token_id": 3, "type_vocab_size": 2,
    "num_key_value_heads": KEY_HEADS, "num_kv_heads": KEY_HEADS,
    "swa_num_key_value_heads": KEY_HEADS, "indexer_kv_heads": 1,
    # The default 0.02 makes all logits nearly equal, and a wrong one would go unnoticed.
    "initializer_range": 0.4, "init_std": 0.4, "initializer_factor": 1.0,
    "embedding_initializer_range": 0.4,
}  # fmt: skip
TINY = {**_LAYERED, **_WIDE, **_HEADED, **_INNER, **_HEAD_SIZED, **_WINDOWED, **_OF_EXPERTS,
        **_POSITIONS, **_RECURRENT, **_WORDS}  # fmt: skip
"""What every configuration is given of the fields that it has."""

_SEEN = {  # towers for pictures and sound, which text does not pass
    "image_size": 16, "crop_size": 16, "patch_size": 4, "depth": 2, "num_global_layers": 1,
    "vision_output_dim": WIDTH, "projector_input_dim": WIDTH, "projector_output_dim": WIDTH,
    "out_hidden_size": WIDTH, "adapter_in_dim": WIDTH, "adapter_out_dim": WIDTH,
    "adapter_input_size": WIDTH, "downsample_hidden_size": 8, "output_proj_dims": WIDTH,
    "mm_embed_dim": WIDTH, "audio_embed_dim": WIDTH, "output_channels": 8, "mlp_dim": 48,
    "position_embedding_size": 16, "mm_posemb_size": 16, "base_channels": 32, "num_mel_bins": 8,
    "ext_pw_out_channel": WIDTH, "depthwise_separable_out_channel": WIDTH,
    "nemo_conv_channels": WIDTH, "num_position_embeddings": 16, "codebook_size": 16,
    "hidden_size_global": WIDTH, "audio_vocab_size": VOCABULARY, "num_blocks": 2,
}  # fmt: skip
_MIXED = ["linear_attention", "full_attention"] * (LAYERS // 2)
_SMALL_TOWER = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2,
                "num_attention_heads": HEADS}  # fmt: skip
_SHARED_KEYS = {
    "layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2,
    "global_head_dim": 16,
}  # fmt: skip
_LATENT = {"num_key_value_heads": HEADS}

# What single kinds need besides.
OWN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        ("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite",
         "glm_moe_dsa", "longcat_flash", "minicpm3", "youtu"),
        _LATENT,
    ),
    "bailing_hybrid": {**_LATENT, "layer_group_size": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": KEY_HEADS, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v4": {
        "num_key_value_heads": 1,
        "compress_rates": {"compressed_sparse_attention": 2, "heavily_compressed_attention": 4},
    },
    "dots3_note_text": {
        **_LATENT, "layer_types": ["sliding_attention", "full_attention"] * 2,
        **{f"swa_{name}": TINY[name] for name in
           ("num_attention_heads", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim",
            "v_head_dim")},
        "swa_num_key_value_heads": HEADS, "swa_head_dim": 2 * HEAD_SIZE,
    },
    "blt": {"encoder_hash_byte_group_vocab": 64, "encoder_hash_byte_group_size": [3]},
    "falcon_h1": {"mamba_d_ssm": 2 * WIDTH},
    "gemma3": {"vision_config": {"model_type": "siglip_vision_model", **_SEEN, **_SMALL_TOWER}},
    "gemma3n_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2,
    },
    **dict.fromkeys(("gemma4_text", "gemma4_unified_text"), _SHARED_KEYS),
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {"layer_types": _MIXED},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {**_LATENT, "layer_types": _MIXED},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "minimax_m3_vl_text": {"index_block_size": 4, "index_topk_blocks": 2},
    "mamba2": {"num_heads": HEADS, "head_dim": 16},
    "qwen4_exp_text": {"indexer_compress_ratio": 2},
    "reformer": {
        "is_decoder": True, "axial_pos_shape": (8, 12), "axial_pos_embds_dim": (16, 16),
        "attn_layers": ["local", "lsh", "local", "lsh"], "num_buckets": 4, "hash_seed": 0,
    },
    "roc_bert": {
        "pronunciation_embed_dim": 8, "pronunciation_vocab_size": VOCABULARY,
        "shape_embed_dim": 8, "shape_vocab_size": VOCABULARY,
    },
    "xlm": {"causal": True},
    "xlstm": {"embedding_dim": WIDTH, "qk_dim_factor": 2.0, "v_dim_factor": 2.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
LEFT: dict[str, tuple[str, ...]] = {
    "xlstm": ("num_hidden_layers",),
    "zamba": ("attention_hidden_size",),
}
# Kinds that speak of a text model of another kind.
_TEXTS = {"gemma4_assistant": "gemma4_text", "gemma4_unified_assistant": "gemma4_unified_text",
          "got_ocr2": "qwen2", "moss_transcribe_diarize": "qwen3", "fuyu": "persimmon"}  # fmt: skip


class NotBuiltError(Exception):
    """Why there is no tiny model of a kind."""


def _sized(given: Any, kind: str) -> dict[str, Any]:
    """What a configuration is given: the sizes of its own fields, and of its parts."""
    names = {field.name for field in dataclasses.fields(given)} - set(LEFT.get(kind, ()))
    sizes = {name: size for name, size in {**_SEEN, **TINY}.items() if name in names}
    for part, of in given.sub_configs.items():
        if part == "text_config" and kind in _TEXTS:
            sizes[part] = copy.deepcopy(tiny_config(_TEXTS[kind]))  # some write into it
        elif dataclasses.is_dataclass(of) and part.endswith("_config") and kind not in ("dbrx",):
            inner = getattr(of, "model_type", "")
            sizes[part] = {**_sized(of, inner), **OWN.get(inner, {})}
    return sizes


@cache
def tiny_config(kind: str, *, decoder: bool = True) -> Any:
    """Make the configuration of a tiny model of one kind, causal where it can be told to."""
    try:
        given = CONFIG_MAPPING[kind]
        causal = {"is_decoder"} & {field.name for field in dataclasses.fields(given)}
        told = dict.fromkeys(causal, True) if decoder else {}
        classes = {} if decoder else {"num_labels": 3}
        return given(**{**_sized(given, kind), **told, **classes, **OWN.get(kind, {})})
    except Exception as error:
        raise NotBuiltError(one_line(error)) from error


def tiny_model(kind: str, maker: Any = AutoModelForCausalLM) -> Any:
    """Make a tiny random model of one kind, in eval mode.

    Raises
    ------
    NotBuiltError
        Where transformers, as it is installed, does not build one of these sizes that reads text.
    """
    config = tiny_config(kind, decoder=maker is AutoModelForCausalLM)
    try:
        with torch.device("meta"):
            weights = sum(w.numel() for w in maker.from_config(config).parameters())
        if weights > MOST_WEIGHTS:
            raise NotBuiltError(f"{weights:,} weights")
        # Whoever asks first may be in inference mode, whose weights others cannot pass through.
        with torch.random.fork_rng(), torch.inference_mode(False):
            torch.manual_seed(0)
            return maker.from_config(copy.deepcopy(config)).eval()
    except NotBuiltError:
        raise
    except Exception as error:
        raise NotBuiltError(one_line(error)) from error


def one_line(error: Exception) -> str:
    """Write an error in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
