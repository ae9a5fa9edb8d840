"""Loading models: the same values, other dtypes and devices, and what is wrong said."""

import json

import numpy as np
import pytest
import torch
import transformers
from transformers import BertConfig, BertModel

from spexlens.errors import InvalidInputError, SpexlensWarning, UnknownNameError
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.encoder import Encoder
from spexlens.models.zoo import load_model
from tests.tiny_models import (
    CLASSIFIERS,
    CONFIGS,
    POSITIONS,
    VOCABULARY,
    tiny_model,
    tiny_tokenizer,
)

TOKENS = [VOCABULARY.index(word) for word in ("positive", "negative", "yes")]
PROMPTS = ["Review: the film was very good. Sentiment:", "good", "Review: bad. Sentiment:"]


@pytest.fixture
def tiny():
    return CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")


@pytest.fixture
def folder(tiny, tmp_path):
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_load_from_a_folder_gives_the_same_values(tiny, folder):
    loaded = CausalLM.load(folder)
    assert loaded.name == str(folder)
    assert np.array_equal(
        loaded.next_token_logits(PROMPTS, TOKENS), tiny.next_token_logits(PROMPTS, TOKENS)
    )
    half = CausalLM.load(str(folder), dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    rough = half.next_token_logits(PROMPTS, TOKENS)
    assert np.corrcoef(rough.ravel(), tiny.next_token_logits(PROMPTS, TOKENS).ravel())[0, 1] > 0.99


def test_load_refuses_a_model_without_a_language_model_head(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=32, **sizes, intermediate_size=16)).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InvalidInputError, match=r"lacks .* weights"):
        CausalLM.load(tmp_path)


def config(name):
    return (CLASSIFIERS.get(name) or CONFIGS[name])()


MASKED, TWO_PARTS = "its tokens see those behind them", "it is an encoder-decoder"
OTHERS = {
    "BertForMaskedLM": (CausalLM, "bert", MASKED),
    "BertForPreTraining": (CausalLM, "bert", MASKED),
    "BertLMHeadModel": (CausalLM, "bert", MASKED),
    "RobertaForMaskedLM": (CausalLM, "roberta", MASKED),
    "MPNetForMaskedLM": (CausalLM, "mpnet", MASKED),
    "XLNetLMHeadModel": (CausalLM, "xlnet", MASKED),
    "T5ForConditionalGeneration": (CausalLM, "t5", TWO_PARTS),
    "BartForConditionalGeneration": (CausalLM, "bart", TWO_PARTS),
    "T5EncoderModel": (CausalLM, "t5", "transformers has none of the kind t5"),
    "T5Model": (Encoder, "t5", TWO_PARTS),
    "BartModel": (Encoder, "bart", TWO_PARTS),
}


@pytest.mark.parametrize("name", OTHERS)
def test_models_of_another_kind_are_refused_in_one_sentence(name, tmp_path):
    kind, architecture, reason = OTHERS[name]
    getattr(transformers, name)(config(architecture)).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InvalidInputError, match=rf"\({name}\) is no .*: {reason}") as told:
        kind.load(tmp_path)
    assert len(str(told.value)) < 400


def test_an_encoder_made_a_decoder_is_a_causal_model(tmp_path):
    settings = config("roberta")
    settings.is_decoder = True
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.RobertaForCausalLM(settings).eval()
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    loaded = CausalLM.load(tmp_path)
    assert loaded.max_tokens == POSITIONS - 3
    longest = "a " * loaded.max_tokens
    read = loaded.next_token_logits([*PROMPTS, longest], TOKENS)
    for prompt, row in zip([*PROMPTS, longest], read, strict=True):
        ids = torch.tensor([loaded.encode(prompt)])
        with torch.inference_mode():
            np.testing.assert_allclose(row, model(ids).logits[0, -1, TOKENS], atol=1e-4)


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(UnknownNameError, match="smollm2"):
        CausalLM.load("no-such-model")
    with pytest.raises(InvalidInputError, match="dtype = 'int8'"):
        CausalLM.load(tmp_path, dtype="int8")
    with pytest.raises(InvalidInputError, match="device = 'nowhere'"):
        CausalLM.load(tmp_path, device="nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InvalidInputError, match="could be loaded from"):
        CausalLM.load(tmp_path)


def test_a_hub_name_that_is_not_found_is_one_error_at_once(monkeypatch, capfd):
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
    )
    with pytest.raises(InvalidInputError, match=r"'nobody/no-model' lies in no .* Check the name"):
        CausalLM.load("nobody/no-model")
    assert "Retrying" not in "".join(capfd.readouterr())


def test_each_of_several_devices_gets_a_copy(tiny, folder):
    loaded = CausalLM.load(folder, device=["cpu", torch.device("cpu")], prepacked=False)
    assert len(loaded.replicas) == 1
    assert loaded.replicas[0] is not loaded.model
    assert not loaded.prepacked
    np.testing.assert_allclose(
        loaded.next_token_logits(PROMPTS, TOKENS),
        tiny.next_token_logits(PROMPTS, TOKENS),
        atol=1e-5,
    )
    with pytest.raises(InvalidInputError, match="at least one"):
        CausalLM.load(folder, device=[])


def test_code_that_a_model_brings_is_not_run_and_nothing_is_asked(tmp_path, monkeypatch):
    config = {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.M"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    with pytest.raises(InvalidInputError, match="brings code of its own, which is not run"):
        CausalLM.load(tmp_path)
    assert not (tmp_path / "ran").exists()


_OWN_MODEL = """
from transformers import LlamaConfig, LlamaForCausalLM
open({ran!r}, "w").close()

class Mine(LlamaConfig):
    model_type = "mine"

class M(LlamaForCausalLM):
    config_class = Mine
"""


def test_code_that_a_model_brings_is_run_where_it_is_trusted_and_that_is_told(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "hf"))
    own = tmp_path / "own_code"
    tiny.model.save_pretrained(own)
    tiny.tokenizer.save_pretrained(own)
    config = json.loads((own / "config.json").read_text()) | {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.M"},
    }
    (own / "config.json").write_text(json.dumps(config))
    (own / "mine.py").write_text(_OWN_MODEL.format(ran=str(tmp_path / "ran")))
    with pytest.raises(InvalidInputError, match="--trust-remote-code"):
        CausalLM.load(own)
    assert not (tmp_path / "ran").exists()
    with pytest.warns(SpexlensWarning, match="can do whatever you can"):
        model = load_model(own, trust_remote_code=True)
    assert (tmp_path / "ran").exists()
    assert type(model.model).__name__ == "M"
    assert model.token_ids(PROMPTS) == tiny.token_ids(PROMPTS)
