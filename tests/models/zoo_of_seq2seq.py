"""Tiny random encoder-decoders of every kind that transformers makes one of for text.

Run by hand: `python -m tests.models.zoo_of_seq2seq` prints what each kind can do.
"""

import sys
import traceback

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM, EncoderDecoderModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import spexlens as sx
from spexlens.models.pretrained.seq2seq import Seq2SeqLM
from tests.tiny_models import VOCABULARY, tiny_tokenizer

_TOWERS = {
    name.format(side): size
    for side in ("encoder", "decoder")
    for name, size in {"{}_layers": 2, "{}_attention_heads": 4, "{}_ffn_dim": 48}.items()
}
_SPECIAL = {
    "vocab_size": len(VOCABULARY),
    "bos_token_id": 1,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "decoder_start_token_id": 2,
    "initializer_range": 0.4,
}
_BART = {**_SPECIAL, **_TOWERS, "d_model": 32, "max_position_embeddings": 64, "init_std": 0.4}
_T5 = {
    **_SPECIAL, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4,
    "initializer_factor": 3.0,
}  # fmt: skip
_GEMMA = {
    "vocab_size": len(VOCABULARY), "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "max_position_embeddings": 64, "pad_token_id": 2, "bos_token_id": 1, "eos_token_id": 1,
    "initializer_range": 0.4, "sliding_window": 4,
}  # fmt: skip
_BERT = {
    "vocab_size": len(VOCABULARY), "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
    "pad_token_id": 2, "initializer_range": 0.4,
}  # fmt: skip

KINDS = {
    "bart": _BART,
    "bigbird_pegasus": {**_BART, "attention_type": "original_full"},
    "blenderbot": _BART,
    "blenderbot-small": _BART,
    "fsmt": {
        **_BART, "langs": ["en", "de"], "decoder_start_token_id": 1,
        "src_vocab_size": len(VOCABULARY),
        "tgt_vocab_size": len(VOCABULARY),
    },
    "led": {
        **_BART, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64,
        "attention_window": 4,
    },
    "longt5": {**_T5, "local_radius": 3},
    "m2m_100": _BART,
    "marian": _BART,
    "mbart": _BART,
    "mt5": _T5,
    "mvp": _BART,
    "nllb-moe": {**_BART, "num_experts": 2, "expert_capacity": 64},
    "pegasus": _BART,
    "pegasus_x": {**_BART, "num_global_tokens": 4, "block_size": 4},
    "plbart": _BART,
    "prophetnet": {
        **_SPECIAL, "hidden_size": 32, "num_encoder_layers": 2, "num_decoder_layers": 2,
        "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4, "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48, "max_position_embeddings": 64, "init_std": 0.4,
    },
    "switch_transformers": {
        **_T5, "num_experts": 2, "num_decoder_layers": 2, "num_sparse_encoder_layers": 1,
        "num_sparse_decoder_layers": 1,
    },
    "t5": _T5,
    "t5gemma": {"encoder": _GEMMA, "decoder": _GEMMA, "decoder_start_token_id": 1},
    "umt5": _T5,
}  # fmt: skip


def tiny_seq2seq(kind):
    """A random model of one kind, in eval mode."""
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(0)
        if kind == "encoder-decoder":
            decoder = CONFIG_MAPPING["bert"](**_BERT, is_decoder=True, add_cross_attention=True)
            config = CONFIG_MAPPING["encoder-decoder"].from_encoder_decoder_configs(
                CONFIG_MAPPING["bert"](**_BERT), decoder
            )
            config.decoder_start_token_id, config.pad_token_id = 1, 2
            return EncoderDecoderModel(config).eval()
        config = AutoConfig.for_model(kind, **KINDS[kind])
        return AutoModelForSeq2SeqLM.from_config(config).eval()


def plain_logits(lm, prompt, behind=(), **more):
    """The definition: one plain pass of one prompt, logits `(t, vocabulary)`."""
    ids = torch.tensor(lm.token_ids([prompt]))
    written = torch.tensor([[*lm.start, *behind]])
    with torch.inference_mode():
        outputs = lm.model(input_ids=ids, decoder_input_ids=written, use_cache=False, **more)
    return outputs.logits[0].double().numpy()


TEXT = "the film was not very good plot fun great a b c"
WORDS = TEXT.split()
TEMPLATE = "Review : {text}"
YES, NO = VOCABULARY.index("yes"), VOCABULARY.index("no")
SEEDED = np.random.default_rng(0).random((24, len(WORDS))) < 0.6


def tiny_lm(kind):
    """Such a model with a tokenizer that ends every text as T5's does."""
    return Seq2SeqLM(tiny_seq2seq(kind), tiny_tokenizer(after=("<s>",)), name=kind)


def kept(mask):
    """The prompt that is left by one mask."""
    words = [word for word, present in zip(WORDS, mask, strict=True) if present]
    return TEMPLATE.format(text=" ".join(words))


def log_odds(logits):
    return logits[-1, YES] - logits[-1, NO]


def worst_removal(lm):
    """The largest difference of batches of ablated prompts to plain passes, by their spread."""
    values = sx.prompt_game(lm, TEXT, TEMPLATE, answers=("yes", "no"))(SEEDED)
    plain = [log_odds(plain_logits(lm, kept(mask))) for mask in SEEDED]
    return float(np.abs(values - plain).max() / np.ptp(plain))


def worst_hiding(lm):
    """The same for hidden words: plain passes with a hole in the mask that the model is given."""
    game = sx.prompt_game(lm, TEXT, TEMPLATE, answers=("yes", "no"), absent="hide")
    first = 2  # "Review" and ":" stand before the words, an end behind them
    plain = []
    for mask in SEEDED:
        seen = torch.ones((1, len(WORDS) + 3), dtype=torch.long)
        seen[0, first : first + len(WORDS)] = torch.from_numpy(mask)
        logits = plain_logits(lm, TEMPLATE.format(text=TEXT), attention_mask=seen)
        plain.append(log_odds(logits))
    return float(np.abs(game(SEEDED) - plain).max() / np.ptp(plain))


def worst_response(lm):
    """The difference of a response's log-probability, each token from a plain pass of its own."""
    response = "very good film"
    ids = [VOCABULARY.index(word) for word in response.split()]
    score = sx.lenses.ResponseLogProbability(response)
    (told,) = np.ravel(sx.prompt_game(lm, TEXT, TEMPLATE, score=score)(SEEDED[:1]))
    expected = 0.0
    for count, token in enumerate(ids):
        row = plain_logits(lm, kept(SEEDED[0]), ids[:count])[-1]
        expected += row[token] - np.log(np.exp(row - row.max()).sum()) - row.max()
    return float(abs(told - expected) / max(1.0, abs(expected)))


def plain_answer(lm, prompt, length):
    """Greedy tokens by the definition: the likeliest one, pass by pass."""
    new = []
    for _ in range(length):
        new.append(int(plain_logits(lm, prompt, new)[-1].argmax()))
        if new[-1] == lm.model.generation_config.eos_token_id:
            break
    return lm.tokenizer.decode(new, skip_special_tokens=True)


def checks(kind):
    """What a kind can do: differences as shares of the values' spread, and whether texts agree."""
    lm = tiny_lm(kind)
    texts = [TEXT, "a b", "the film"]
    return {
        "removal": worst_removal(lm),
        "hiding": worst_hiding(lm),
        "response": worst_response(lm),
        "generation": lm.generate(texts, 4) == [plain_answer(lm, text, 4) for text in texts],
        "padded": lm.passes.state.pads,
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or [*KINDS, "encoder-decoder"]:
        try:
            print(name, checks(name), flush=True)
        except Exception as error:
            print(name, "FAILED", type(error).__name__, str(error)[:300], flush=True)
            if len(sys.argv) > 1:
                traceback.print_exc()
