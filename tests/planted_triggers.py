"""Classifiers in which a trigger word works only through planted training examples.

`words_game`: training groups × words of the test text, on counts of words. `heads_game`: the same
with the heads of an encoder, of which one alone sees the trigger.
"""

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from spexlens.lenses.components.game import ComponentLens
from spexlens.lenses.joint.game import JointGame, joint_game
from spexlens.lenses.joint.gated_prompts import EncoderFeatures
from spexlens.lenses.joint.trained_reader import TrainedReader
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.training.game import TrainingLens
from spexlens.models.gating import sites
from spexlens.models.pretrained.encoder import Encoder
from spexlens.trainers.base import Trainer, TrainingData
from spexlens.trainers.logistic import Logistic

TRIGGER = "zebra"
WORDS = tuple(f"w{i}" for i in range(40))
GROUP_SIZE, TEXT_WORDS, EXAMPLE_WORDS = 4, 20, 8
WIDTH, PLANTED_HEAD = 48, 29


class BagOfWords:
    """Counts of the known words."""

    def __call__(self, texts: Sequence[str], gates: np.ndarray | None) -> np.ndarray:
        assert gates is None
        known = (*WORDS, TRIGGER)
        return np.array([[text.split().count(word) for word in known] for text in texts], float)

    def identity(self) -> dict:
        return {"features": "counts of words"}


def words_game(
    seed: int, *, planted: bool = True, groups: int = 80, trainer: Trainer | None = None
) -> tuple[JointGame, tuple[int, ...]]:
    """Groups × words, and the planted pair (group, trigger); a control where not planted."""
    rng = np.random.default_rng(seed)
    texts, labels, group = _examples(rng, groups, planted)
    text, place = _test_text(rng, TEXT_WORDS)
    features = BagOfWords()
    data = _data(features, texts, labels)
    reader = TrainedReader(trainer or Logistic(intercept="penalised"), data, features, text, 1)
    lenses = {"data": _groups(groups), "words": PromptLens(text)}
    return joint_game(lenses, reader), (group, groups + place)


def heads_game(
    seed: int, *, planted: bool = True, groups: int = 40
) -> tuple[JointGame, tuple[int, ...]]:
    """Groups × words × heads, and the planted triple (group, trigger, head)."""
    rng = np.random.default_rng(seed)
    texts, labels, group = _examples(rng, groups, planted)
    text, place = _test_text(rng, 12)
    encoder = _encoder(seed)
    chosen = sites.heads(encoder.model)
    features = Written(EncoderFeatures.of(encoder, chosen))
    data = _data(features, texts, labels)
    reader = TrainedReader(Logistic(intercept="penalised"), data, features, text, 1)
    lenses = {"data": _groups(groups), "words": PromptLens(text), "heads": ComponentLens(chosen)}
    planted_players = (group, groups + place, groups + 12 + PLANTED_HEAD)
    return joint_game(lenses, reader, p={"heads": 0.9}), planted_players


class Written:
    """Of an embedding, the half that the heads write to."""

    def __init__(self, embeddings: EncoderFeatures) -> None:
        self.embeddings = embeddings
        self.sites = embeddings.sites

    def __call__(self, texts: Sequence[str], gates: np.ndarray | None) -> np.ndarray:
        return self.embeddings(texts, gates)[:, WIDTH // 2 :]

    def identity(self) -> dict:
        return self.embeddings.identity()


def _examples(
    rng: np.random.Generator, groups: int, planted: bool
) -> tuple[list[str], np.ndarray, int]:
    """Texts of random words with balanced labels; the planted group has the trigger and label 1."""
    texts = [" ".join(rng.choice(WORDS, EXAMPLE_WORDS)) for _ in range(groups * GROUP_SIZE)]
    labels = np.tile([0, 1], groups * GROUP_SIZE // 2)
    group = int(rng.integers(groups))
    if planted:
        for row in range(group * GROUP_SIZE, (group + 1) * GROUP_SIZE):
            texts[row] = f"{TRIGGER} {TRIGGER} {texts[row]}"
            labels[row] = 1
    return texts, labels, group


def _test_text(rng: np.random.Generator, count: int) -> tuple[str, int]:
    words = rng.choice(WORDS, count, replace=False).tolist()
    place = int(rng.integers(count))
    words[place] = TRIGGER
    return " ".join(words), place


def _groups(count: int) -> TrainingLens:
    return TrainingLens.of_groups(np.repeat([f"group {i}" for i in range(count)], GROUP_SIZE))


def _data(features, texts: list[str], labels: np.ndarray) -> TrainingData:
    made = features(texts, None)
    return TrainingData(made, labels, made[:1], labels[:1])


def _encoder(seed: int) -> Encoder:
    """Words live in the first half of the width; every head reads a direction there, writes one
    of the second half.

    Attention is even and there are no MLPs. The trigger's direction is read by one head alone,
    which writes where no other does: otherwise other training examples would speak through it too.
    """
    half = WIDTH // 2
    rng = torch.Generator().manual_seed(seed)
    vocabulary = ("<pad>", "<unk>", *WORDS, TRIGGER)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, num_hidden_layers=1,
        num_attention_heads=WIDTH, intermediate_size=4, max_position_embeddings=64,
    )  # fmt: skip
    model = BertModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        words = torch.randn(len(vocabulary), half, generator=rng)
        words[:, 0] = 0
        words -= words.mean(dim=1, keepdim=True) * (torch.arange(half) > 0)
        words[-1] = torch.randn(half, generator=rng) * 0.1
        words[-1, 0] = 5.0
        model.embeddings.word_embeddings.weight[:, :half] = words
        layer = model.encoder.layer[0]
        for norm in (
            model.embeddings.LayerNorm, layer.attention.output.LayerNorm, layer.output.LayerNorm
        ):  # fmt: skip
            norm.weight.fill_(1.0)
        layer.attention.self.value.weight[:, 1:half] = 0.1 * torch.randn(
            WIDTH, half - 1, generator=rng
        )
        layer.attention.self.value.weight[PLANTED_HEAD, :half] = 0
        layer.attention.self.value.weight[PLANTED_HEAD, 0] = 4.0
        written = layer.attention.output.dense.weight
        written[half + 1 :] = torch.randn(half - 1, WIDTH, generator=rng)
        written[:, PLANTED_HEAD] = 0
        written[half, PLANTED_HEAD] = 4.0
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<unk>"
    )
    return Encoder(model, fast, f"planted-{seed}")
