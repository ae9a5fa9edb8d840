"""Tiny models with quantised weights, each by a package that need not be installed.

Run by hand, where some of torchao, optimum-quanto, bitsandbytes, compressed-tensors and accelerate
are: `python -m tests.models.zoo_of_quantised` prints what text games can do with each.
"""

import sys
import tempfile
import warnings

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.models import CausalLM
from tests.tiny_models import VOCABULARY, tiny_tokenizer

TEXT = "the film was not very good plot fun great a b c"
WORDS = TEXT.split()
MASKS = np.random.default_rng(0).random((16, len(WORDS))) < 0.6
YES, NO = VOCABULARY.index("yes"), VOCABULARY.index("no")


def wide_llama():
    """A random model whose layers are wide enough to be stored in groups of 64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=64, hidden_size=128, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=256, max_position_embeddings=64,
            bos_token_id=1, eos_token_id=1, pad_token_id=2, initializer_range=0.2,
        )  # fmt: skip
        return AutoModelForCausalLM.from_config(config).eval()


def dynamic():
    """Of PyTorch itself: what a layer is given is rounded by the largest of a whole batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.ao.quantization.quantize_dynamic(
            wide_llama(), {torch.nn.Linear}, dtype=torch.qint8
        )
    return model.eval()


def torchao_int8():
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = wide_llama()
    quantize_(model, Int8WeightOnlyConfig())
    return model


def torchao_int8_dynamic():
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    model = wide_llama()
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    return model


def quanto(bits):
    from optimum.quanto import freeze, qint4, qint8, quantize

    model = wide_llama()
    quantize(model, weights={4: qint4, 8: qint8}[bits])
    freeze(model)
    return model.eval()


def bitsandbytes(bits):
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(**{f"load_in_{bits}bit": True})
    with tempfile.TemporaryDirectory() as folder:
        wide_llama().save_pretrained(folder)
        return AutoModelForCausalLM.from_pretrained(folder, quantization_config=config).eval()


def compressed_tensors():
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        apply_quantization_config,
    )

    model = wide_llama()
    stored = QuantizationArgs(num_bits=8, type="int", symmetric=True, strategy="channel")
    groups = {"group": QuantizationScheme(targets=["Linear"], weights=stored)}
    apply_quantization_config(model, QuantizationConfig(config_groups=groups, ignore=["lm_head"]))
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            module.weight_scale.data = module.weight.abs().amax(1, keepdim=True) / 127
    return model.eval()


WAYS = {
    "torch dynamic 8 bits": dynamic,
    "torchao 8 bits": torchao_int8,
    "torchao 8 bits, activations too": torchao_int8_dynamic,
    "optimum-quanto 8 bits": lambda: quanto(8),
    "optimum-quanto 4 bits": lambda: quanto(4),
    "bitsandbytes 8 bits": lambda: bitsandbytes(8),
    "bitsandbytes 4 bits": lambda: bitsandbytes(4),
    "compressed-tensors 8 bits": compressed_tensors,
}


def plain_log_odds(lm, prompt):
    """The definition: one plain pass of one prompt."""
    ids = torch.tensor([lm.encode(prompt)])
    with torch.no_grad():
        logits = lm.model(input_ids=ids).logits[0, -1].double()
    return float(logits[YES] - logits[NO])


def told(call):
    """The message by which it is refused; "yes" where it is not."""
    try:
        call()
    except InvalidInputError as error:
        return str(error)
    return "yes"


def checks(model):
    """What text games and others can do: differences as shares of the values' spread, messages."""
    lm = CausalLM(model, tiny_tokenizer(), name="quantised")

    def game(**more):
        return sx.prompt_game(lm, TEXT, "Review : {text}", answers=("yes", "no"), **more)

    plain = []
    for mask in MASKS:
        kept = " ".join(word for word, there in zip(WORDS, mask, strict=True) if there)
        plain.append(plain_log_odds(lm, f"Review : {kept}"))
    one = np.array([game()(mask[None])[0] for mask in MASKS])
    question = sx.Question(f"Review : {TEXT}", "yes", ("no",))
    return {
        "values": float(np.abs(game()(MASKS) - plain).max() / np.ptp(plain)),
        "one by one": float(np.abs(one - plain).max() / np.ptp(plain)),
        "hide": told(lambda: game(absent="hide")(MASKS[:2])),
        "identity": lm.identity() == lm.identity(),
        "text": lm.generate([TEXT, "a b"], 3),
        "components": told(lambda: sx.component_game(lm, [question], "heads")),
        "together": lm.passes.state.ways.together,
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or WAYS:
        try:
            print(name, checks(WAYS[name]()), flush=True)
        except ImportError as error:
            print(name, "not installed:", error, flush=True)
