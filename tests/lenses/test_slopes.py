"""Derivatives by words, turns, regions and gates at once: equal to finite differences."""

import re
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from spexlens.core.slopes import Slopes, cotangent
from spexlens.errors import NoDerivativeError
from spexlens.lenses.base import LensGame
from spexlens.lenses.components.game import ComponentLens
from spexlens.lenses.image import ImageLens, grid, image_game
from spexlens.lenses.joint.game import joint_game
from spexlens.lenses.joint.gated_prompts import gated_prompts
from spexlens.lenses.text.chat import chat_game
from spexlens.lenses.text.game import prompt_game
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.response_scores import (
    FullPromptKL,
    LogitFunction,
    Perplexity,
    ResponseLogProbability,
    TextFunction,
)
from spexlens.lenses.text.scores import LogitDifference, LogProbability
from spexlens.lenses.text.sequence_scores import AnswerLogOdds
from spexlens.models.gating import sites
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.classifier import ProbedEncoder, SequenceClassifier
from spexlens.models.pretrained.vision import VisionClassifier
from spexlens.models.running.attention import causal_masks
from tests.models.pretrained.test_encoder import tiny_encoder
from tests.tiny_models import tiny_classifier, tiny_model, tiny_tokenizer

TEXT, TEMPLATE = "the film was not very bad", "Review : {text} Sentiment :"
BEFORE = 2  # tokens of the template
STEP = 2.0**-6  # some norms round to float32 whatever the weights
MASKS = np.array([[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [0, 0, 0, 1, 0, 0]], dtype=bool)
ATTENDING = ("llama", "gpt2", "gemma2", "gemma3_text", "gpt_neox", "phi3", "qwen3")
ANSWERS = {"answers": ("positive", "negative")}


def precise(architecture="llama"):
    return CausalLM(deepcopy(tiny_model(architecture)).double(), tiny_tokenizer(), architecture)


@contextmanager
def weighed(model, place, factor):
    """Multiply the attention that others pay to the token at one place of every pass.

    Of a model without, multiply its embedding.
    """

    def attend(_, args, options):
        width = options["input_ids"].shape[1]
        masks = options.get("attention_mask")
        if masks is None:
            masks = causal_masks(np.ones(tuple(options["input_ids"].shape), dtype=bool), model)
        for mask in masks.values() if isinstance(masks, dict) else [masks]:
            mask[:, 0, np.arange(width) != place, place] += np.log(factor)
        return args, {**options, "attention_mask": masks}

    def embed(_, __, output):
        factors = torch.ones(output.shape[:2], dtype=output.dtype)
        factors[:, place] = factor
        return output * factors[..., None]

    if model.config.model_type in ATTENDING and hasattr(model, "lm_head") | hasattr(
        model, "embed_out"
    ):
        hook = model.register_forward_pre_hook(attend, with_kwargs=True)
    else:
        hook = model.get_input_embeddings().register_forward_hook(embed)
    try:
        yield
    finally:
        hook.remove()


def by_differences(game, model, masks, before=BEFORE):
    """Of one-token words: the k-th present one is the k-th token behind the template's own."""
    found = np.zeros((len(masks), 6))
    for row, mask in enumerate(masks):
        for place, player in enumerate(np.flatnonzero(mask[:6])):
            # The step of OPT is small, as a ReLU may have its kink nearby.
            step = 2.0**-13 if model.config.model_type == "opt" else STEP
            found[row, player] = derivative(game, model, mask, before + place, step)
    return found


def derivative(game, model, mask, place, first=STEP):
    """Central differences of two steps, without their error of order two."""
    slopes = []
    for step in (first, 2 * first):
        ends = []
        for factor in (1 + step, 1 - step):
            with weighed(model, place, factor):
                ends.append(game(mask[None]).reshape(1, -1)[0, 0])
        slopes.append((ends[0] - ends[1]) / (2 * step))
    return (4 * slopes[0] - slopes[1]) / 3


def agree(found, wanted):
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "architecture",
    ["llama", "gpt2", "gemma2", "gpt_neox", "opt", "phi3", "qwen3", "mamba", "lfm2"],
)
def test_words_of_every_family(architecture):
    lm = precise(architecture)
    game = prompt_game(lm, TEXT, TEMPLATE, **ANSWERS)
    assert game.sensitivity_cost == 3
    agree(game.sensitivities(MASKS), by_differences(game, lm.model, MASKS))


@pytest.mark.parametrize(
    "score",
    [
        LogProbability("good"),
        AnswerLogOdds("very good", "very bad"),
        ResponseLogProbability("good . not bad", separator=" "),
        Perplexity("good film", separator=" "),
        FullPromptKL(),
        LogitFunction(("yes", "no", "good"), lambda z: z[:, 0] * z[:, 1] - z[:, 2], "product"),
    ],
)
def test_every_smooth_score(score):
    lm = precise()
    game = prompt_game(lm, TEXT, TEMPLATE, score=score)
    masks = MASKS[1:] if isinstance(score, FullPromptKL) else MASKS  # no slope at its top
    if isinstance(score, FullPromptKL):
        resolved = game.subject.score
        full = lm.next_token_logits([resolved.prompt], range(resolved.vocabulary))
        values = KLFrom(full)
        reference = LensGame(game.lens, replace(game.subject, score=values))
        agree(game.sensitivities(masks), by_differences(reference, lm.model, masks))
        assert np.abs(game.sensitivities(MASKS[:1])).max() < 1e-9
        return
    agree(game.sensitivities(masks), by_differences(game, lm.model, masks))


class KLFrom:
    """The divergence from logits that were measured before."""

    description = "KL"

    def __init__(self, full):
        self.full = torch.from_numpy(full).log_softmax(dim=1)

    def values(self, model, prompts):
        logits = torch.from_numpy(model.next_token_logits(prompts, range(self.full.shape[1])))
        return (self.full.exp() * (logits.log_softmax(dim=1) - self.full)).sum(dim=1).numpy()

    def identity(self):
        return {}


@pytest.mark.parametrize("absent", ["replace", "neutral", "resample"])
def test_fillers_are_nobodys(absent):
    lm = precise()
    text = "the film was good not bad"
    game = prompt_game(lm, text, TEMPLATE, absent=absent, **ANSWERS)
    found = game.sensitivities(MASKS)
    assert np.all(found[~MASKS] == 0)
    if absent == "replace":  # a filler a word, so that places stay
        kept = MASKS[1]
        for player in np.flatnonzero(kept):
            wanted = derivative(game, lm.model, kept, BEFORE + player)
            assert found[1, player] == pytest.approx(wanted, rel=1e-3)


def test_sentences_and_pinned_pieces_add_up():
    lm = precise()
    text = "good film . not very bad . the plot was fun ."
    spans = [(match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    words = prompt_game(lm, text, TEMPLATE, segmenter=spans, **ANSWERS)
    by_word = words.sensitivities(np.ones((1, 12), dtype=bool))[0]
    spans = [(0, 11), (12, 26), (27, 45)]
    pieces = prompt_game(lm, text, TEMPLATE, segmenter=spans, pinned=[1], **ANSWERS)
    found = pieces.sensitivities(np.ones((1, 2), dtype=bool))[0]
    np.testing.assert_allclose(found, [by_word[:3].sum(), by_word[7:].sum()], rtol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
@pytest.mark.parametrize(
    "score", [LogitDifference("positive", "negative"), ResponseLogProbability("good film")]
)
def test_hidden_words_by_attention(architecture, score):
    lm = precise(architecture)
    game = prompt_game(lm, TEXT, TEMPLATE, absent="hide", score=score)
    wanted = np.zeros(MASKS.shape)
    for row, player in zip(*np.nonzero(MASKS), strict=True):
        wanted[row, player] = derivative(game, lm.model, MASKS[row], BEFORE + player)
    agree(game.sensitivities(MASKS), wanted)


def test_pieces_of_a_chat():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] | trim }} , {% endfor %}Sentiment :"
    )
    lm = CausalLM(precise().model, tokenizer, "chat")
    messages = [
        {"role": "user", "content": "the film was not very bad"},
        {"role": "user", "content": "good plot"},
    ]
    words = chat_game(lm, messages, segmenter="words", within=[0], **ANSWERS)
    wanted = by_differences(words, lm.model, MASKS, before=0)
    agree(words.sensitivities(MASKS), wanted)
    messages.append({"role": "user", "content": "fun"})
    turns = chat_game(lm, messages, **ANSWERS)
    found = turns.sensitivities(np.array([[True, True], [False, True]]))
    by_word = chat_game(lm, messages, segmenter="words", within=[0, 1], **ANSWERS)
    both = by_word.sensitivities(np.ones((1, 8), dtype=bool))[0]
    np.testing.assert_allclose(found[0], [both[:6].sum(), both[6:].sum()], rtol=1e-5)
    assert found[1, 0] == 0 != found[1, 1]


def test_a_template_that_rewrites_what_is_said_has_no_derivative():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ 'good' if 'film' in messages[0]['content'] else 'not bad' }} :"
    lm = CausalLM(precise().model, tokenizer, "chat")
    game = chat_game(lm, [{"role": "user", "content": "the film"}], segmenter="words", **ANSWERS)
    with pytest.raises(NoDerivativeError, match="changes with what they say"):
        game.sensitivities(np.ones((1, 2), dtype=bool))


def probed():
    encoder = replace(tiny_encoder(), model=deepcopy(tiny_encoder().model).double())
    weights = np.random.default_rng(0).normal(size=(3, 32))
    return ProbedEncoder(encoder, weights, np.zeros(3), ("a", "b", "c")), encoder.model


@pytest.mark.filterwarnings("ignore:.*refuses several texts")
@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "llama, no padding", "probe"])
@pytest.mark.parametrize("absent", ["remove", "replace"])
def test_words_of_classifiers_and_probed_encoders(kind, absent):
    if kind == "probe":
        classifier, model = probed()
    else:
        model = deepcopy(tiny_classifier(kind)).double()
        classifier = SequenceClassifier(model, tiny_tokenizer(), kind)
    game = (
        prompt_game(
            classifier, TEXT, TEMPLATE, label=classifier.labels[1], absent=absent, fillers="_"
        )
        if absent == "replace"
        else prompt_game(classifier, TEXT, TEMPLATE, label=classifier.labels[1])
    )
    found = game.sensitivities(MASKS)
    assert found.shape == MASKS.shape
    masks = MASKS[:1] if absent == "replace" else MASKS
    agree(found[: len(masks)], by_differences(game, model, masks))


def test_a_classifier_from_which_words_are_hidden_says_why_it_has_none():
    classifier, _ = probed()
    game = prompt_game(classifier, TEXT, TEMPLATE, label="b", absent="hide")
    assert game.sensitivity_cost == 0
    with pytest.raises(NoDerivativeError, match="shows a token or hides it"):
        game.sensitivities(MASKS)


class Curved(torch.nn.Module):
    """Three outputs, smooth in all pixels."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.nn.Parameter(torch.randn(3, 3 * 64, generator=generator) / 8)

    def forward(self, pictures):
        return torch.tanh(pictures.reshape(len(pictures), -1).to(self.weights) @ self.weights.T)


@pytest.mark.parametrize("absent", ["blur", "grey"])
def test_regions_of_a_picture_from_painted_over_to_shown(absent):
    model = VisionClassifier(Curved(), 8, (0.5,) * 3, (0.4, 0.5, 0.6), {"one": [0], "two": [1]})
    picture = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    regions = grid(8, 8, 2, 2)
    regions[0] = -1
    game = image_game(model, picture, regions, label="one", absent=absent)
    masks = np.random.default_rng(1).random((20, 4)) < 0.5
    behind = ImageLens(picture, regions, absent).paint(np.zeros((1, 4), dtype=bool))[0]
    painted = game.lens.paint(masks)
    wanted = np.zeros(masks.shape)
    for player in range(4):
        moved = np.where((regions == player)[..., None], picture - behind, 0)
        ends = [
            game.subject.score.values(model.class_logits(painted + sign * 0.02 * moved))
            for sign in (1, -1)
        ]
        wanted[:, player] = (ends[0] - ends[1]) / 0.04
    agree(game.sensitivities(masks), wanted)
    assert model.model.weights.requires_grad


def test_words_and_heads_at_once():
    lm = precise()
    words = PromptLens(TEXT, TEMPLATE)
    heads = ComponentLens(sites.heads(lm.model))
    subject = gated_prompts(lm, words.prompt, LogitDifference("yes", "no"), heads.sites)
    game = joint_game({"words": words, "heads": heads}, subject)
    gates = np.random.default_rng(0).random((3, 8)) < 0.7
    masks = np.hstack([MASKS, gates])
    found = game.sensitivities(masks)
    by_word = by_differences(game, lm.model, masks)
    agree(found[:, :6], by_word)
    alone = game.lens.intervene(masks)
    wanted = np.zeros((3, 8))
    step = 2.0**-10  # gates are single
    for head in range(8):
        ends = []
        for sign in (1, -1):
            moved = alone.gates.copy()
            moved[:, head] += sign * step
            ends.append(subject.evaluate(replace_gates(alone, moved)))
        wanted[:, head] = (ends[0] - ends[1]) / (2 * step)
    agree(found[:, 6:], wanted)


def replace_gates(interventions, gates):
    return type(interventions)(inputs=interventions.inputs, gates=gates)


def test_single_and_half_precision_padding_and_batches():
    wanted = prompt_game(precise(), TEXT, TEMPLATE, **ANSWERS).sensitivities(MASKS)
    lm = CausalLM(tiny_model(), tiny_tokenizer(), "tiny")
    for tokens in (None, 6):
        game = prompt_game(replace(lm, batch_tokens=tokens), TEXT, TEMPLATE, **ANSWERS)
        game(MASKS)  # linear layers are packed, beginnings shared
        agree(game.sensitivities(MASKS), wanted)
    half = CausalLM(deepcopy(tiny_model()).to(torch.bfloat16), tiny_tokenizer(), "half")
    found = prompt_game(half, TEXT, TEMPLATE, **ANSWERS).sensitivities(MASKS)
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98


def test_a_compiled_model_is_differentiated_as_it_is():
    lm = CausalLM(tiny_model(), tiny_tokenizer(), "tiny")
    wanted = prompt_game(lm, TEXT, TEMPLATE, **ANSWERS).sensitivities(MASKS)
    compiled = prompt_game(replace(lm, compiled=True), TEXT, TEMPLATE, **ANSWERS)
    np.testing.assert_array_equal(compiled.sensitivities(MASKS), wanted)


def quantised():
    model = deepcopy(tiny_model("opt"))
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def blocked(mode):
    model = deepcopy(tiny_model())
    model.model.layers[1].forward = mode()(model.model.layers[1].forward)
    return model


def detached():
    """A model that takes one layer's MLP out of autograd: the rest has derivatives."""
    model = deepcopy(tiny_model())
    mlp = model.model.layers[0].mlp
    forward = mlp.forward
    mlp.forward = lambda x: forward(x).detach()
    return model


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "model",
    [
        lambda: blocked(torch.no_grad),
        lambda: blocked(torch.inference_mode),
        detached,
        quantised,
    ],
)
def test_a_model_that_autograd_cannot_pass_says_so(model):
    game = prompt_game(CausalLM(model(), tiny_tokenizer(), "m"), TEXT, TEMPLATE, **ANSWERS)
    assert np.isfinite(game(MASKS)).all()
    with pytest.raises(NoDerivativeError):
        game.sensitivities(MASKS)


def test_generated_text_and_models_elsewhere_are_said_and_not_tried():
    lm = CausalLM(tiny_model(), tiny_tokenizer(), "tiny")
    score = TextFunction(lambda texts: [float("good" in text) for text in texts], "good")
    game = prompt_game(lm, TEXT, TEMPLATE, score=score)
    assert game.sensitivity_cost == 0
    with pytest.raises(NoDerivativeError, match="by jumps"):
        game.sensitivities(MASKS)

    class Elsewhere:
        """A language model that only tells numbers."""

        name = "elsewhere"

        def __getattr__(self, name):
            if name in ("slopes", "token_spans"):
                raise AttributeError(name)
            return getattr(lm, name)

    other = prompt_game(Elsewhere(), TEXT, TEMPLATE, **ANSWERS)
    assert other.sensitivity_cost == 0
    with pytest.raises(NoDerivativeError, match="tells numbers and no derivatives"):
        other.sensitivities(MASKS)


def test_what_does_not_fit_in_memory_is_run_in_smaller_batches(monkeypatch):
    lm = CausalLM(deepcopy(tiny_model()), tiny_tokenizer(), "tiny")
    game = prompt_game(lm, TEXT, TEMPLATE, **ANSWERS)
    wanted = game.sensitivities(MASKS)
    forward = lm.model.model.forward

    def limited(*args, **options):
        if len(options["input_ids"]) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return forward(*args, **options)

    monkeypatch.setattr(lm.model.model, "forward", limited)
    with pytest.warns(UserWarning, match="did not fit in memory"):
        found = game.sensitivities(MASKS)
    agree(found, wanted)


def test_cotangents_are_those_of_arithmetic():
    read = np.random.default_rng(0).normal(size=(5, 3)) * 10

    def score(z):
        return np.column_stack([np.sin(z[:, 0]) * z[:, 2] + z[:, 1], z[:, 0]])

    wanted = np.column_stack([np.cos(read[:, 0]) * read[:, 2], np.ones(5), np.sin(read[:, 0])])
    np.testing.assert_allclose(cotangent(score, read), wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(NoDerivativeError, match="5000 numbers"):
        cotangent(score, np.zeros((1, 5000)))


def test_parts_that_a_subject_does_not_tell_are_named():
    with pytest.raises(NoDerivativeError, match="PromptLens needs derivatives by inputs"):
        PromptLens(TEXT).by_players(MASKS, Slopes(gates=np.zeros((3, 6))))
    with pytest.raises(NoDerivativeError, match="private use"):
        PromptLens("a \U000f0000").by_players(np.ones((1, 2), dtype=bool), Slopes())
