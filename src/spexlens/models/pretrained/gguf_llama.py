"""A llama-type GGUF file, written out as a folder that transformers loads.

transformers can read GGUF itself, but only with `accelerate` installed, keeps the weights packed
where its kernels are found, and rebuilds the tokenizer without its digit splitting. Reading the
tensors and the vocabulary directly is shorter, and exact: quantised blocks are expanded to the
float32 numbers they stand for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.errors import InvalidInputError, MissingExtraError

try:
    import gguf
except ImportError as error:
    raise MissingExtraError("reading a GGUF file", "gguf", "llm") from error
try:
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, PreTrainedTokenizerFast
except ImportError as error:
    raise MissingExtraError("converting a GGUF file", "transformers", "llm") from error

_TOP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL_TOKEN = 3  # GGUF's token type of <|im_start|> and its like


class _Reader(gguf.GGUFReader):  # type: ignore[misc]
    """Reads the file as a plain array: a slice of numpy's `memmap` costs ten times as much.

    The vocabulary and its merges are some 100,000 strings, each of them two slices.
    """

    @property
    def data(self) -> NDArray[np.uint8]:
        return self._data

    @data.setter
    def data(self, mapped: NDArray[np.uint8]) -> None:
        self._data = np.asarray(mapped)


def convert(source: Path, folder: Path) -> None:
    """Write the model of the GGUF file `source` into the existing `folder`, in float32.

    Parameters
    ----------
    source : Path
        A GGUF file of architecture `llama` with the pre-tokenizer `smollm`.
    folder : Path
        Receives `config.json`, `model.safetensors` and the tokenizer's files.

    Raises
    ------
    InvalidInputError
        When the file holds another architecture or tokenizer.
    """
    reader = _Reader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    kind = (fields.get("general.architecture"), fields.get("tokenizer.ggml.pre"))
    if kind != ("llama", "smollm"):
        raise InvalidInputError(
            f"{source.name} holds architecture and pre-tokenizer {kind}; this converter knows "
            "('llama', 'smollm'). Convert the file with transformers' gguf_file= instead."
        )
    config = _config(fields, tied=all(tensor.name != "output.weight" for tensor in reader.tensors))
    weights = dict(_weight(tensor, config) for tensor in reader.tensors)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    _tokenizer(fields).save_pretrained(folder)


def _config(fields: dict[str, Any], *, tied: bool) -> Any:
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="float32",
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=fields["tokenizer.ggml.eos_token_id"],
        pad_token_id=fields["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=tied,
    )


def _weight(tensor: Any, config: Any) -> tuple[str, NDArray[np.float32]]:
    """Give the name that transformers gives a GGUF tensor, and its float32 array."""
    stem = tensor.name.removesuffix(".weight")
    array = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
    if stem in _TOP:
        return f"{_TOP[stem]}.weight", array
    _, block, part = stem.split(".")
    if part == "attn_q":
        array = split_rotary_halves(array, config.num_attention_heads)
    elif part == "attn_k":
        array = split_rotary_halves(array, config.num_key_value_heads)
    return f"model.layers.{block}.{_BLOCK[part]}.weight", array


def split_rotary_halves(array: NDArray[Any], heads: int) -> NDArray[Any]:
    """Reorder the rows of every head from llama.cpp's interleaved pairs to transformers' halves.

    llama.cpp rotates rows (0, 1), (2, 3), … of a head together; transformers rotates row j with
    row j + d/2.

    >>> split_rotary_halves(np.arange(8)[:, None], heads=2).ravel().tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    pairs = array.reshape(heads, -1, 2, array.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(array.shape))


def _tokenizer(fields: dict[str, Any]) -> Any:
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    # What llama.cpp calls "smollm": every digit is a piece of its own, the rest splits as in GPT-2.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens(
        [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL_TOKEN]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[fields["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        unk_token=tokens[fields["tokenizer.ggml.unknown_token_id"]],
        pad_token=tokens[fields["tokenizer.ggml.padding_token_id"]],
        chat_template=fields.get("tokenizer.chat_template"),
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )
