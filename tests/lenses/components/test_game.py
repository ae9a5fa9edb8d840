"""The component lens: games, identities, and planted circuits found."""

import json
from itertools import permutations

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.game import fingerprint
from spexlens.core.interventions import Interventions
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.components.game import ComponentLens, component_game, sampling_error
from spexlens.lenses.components.questions import Question
from spexlens.models.gating import sites
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.planted_heads import BACKUPS, MOVER, WORDS, planted_lm
from tests.tiny_models import tiny_model, tiny_tokenizer

QUESTIONS = (Question("the film was", "good", ("bad",)), Question("a b c d", "e", ("a",)))


def lm():
    return CausalLM(tiny_model(), tiny_tokenizer(), "tiny")


def planted_game(**options):
    questions = [
        Question(" ".join(words), words[0], tuple(word for word in WORDS if word != words[0]))
        for words in list(permutations(WORDS, 3))[::11]
    ]
    return component_game(planted_lm(), questions, "heads", **options)


def test_planted_heads_that_need_and_back_up_each_other_are_found():
    game = planted_game()
    found = sx.explain(game, 256, rng=0).interactions("Moebius")
    names = [frozenset(found.label(players).split(" × ")) for players in found]
    # f = mover and (backup or backup): both pairs, and the triple that counts them only once.
    chain = [frozenset({MOVER, backup}) for backup in BACKUPS]
    assert set(names[:3]) == {*chain, frozenset({MOVER, *BACKUPS})}
    pairs = sx.explain(game, 256, rng=0).interactions("FBII", 2).top(3, order=2)
    signs = {
        frozenset(pairs.label(players).split(" × ")): effect for players, effect in pairs.items()
    }
    assert set(signs) == {*chain, frozenset(BACKUPS)}
    assert signs[frozenset(BACKUPS)] < 0 < min(signs[pair] for pair in chain)


def test_the_planted_game_at_another_keep_probability():
    game = planted_game()
    one, other = (sx.explain(game, 256, rng=0, p=p) for p in (0.5, 0.8))
    masks = np.random.default_rng(0).random((50, 8)) < 0.5
    np.testing.assert_allclose(one.predict(masks), game(masks)[:, 0], atol=1e-6)
    np.testing.assert_allclose(one.predict(masks), other.predict(masks), atol=1e-6)
    assert other.spectrum.p == 0.8
    indices = (ex.interactions("FBII", 2).to_dict() for ex in (one, other))
    first, second = indices
    assert all(abs(first[key] - second.get(key, 0)) < 1e-6 for key in first)


def test_accuracy_and_its_sampling_error():
    values = planted_game(score="accuracy")(np.array([[True] * 8, [False] * 8]))
    assert values[0, 0] == 1
    assert values[1, 0] < 0.5
    assert sampling_error(values)[0] == 0
    count = values.shape[1] - 1
    share = values[1, 0]
    assert sampling_error(values)[1] == pytest.approx(np.sqrt(share * (1 - share) / (count - 1)))
    with pytest.raises(InvalidInputError, match="two at least"):
        sampling_error(values[:, :2])


def test_columns_are_the_questions_behind_their_mean():
    game = component_game(lm(), QUESTIONS)
    masks = np.random.default_rng(0).random((6, 8)) < 0.5
    values = game(masks)
    assert values.shape == (6, 3)
    np.testing.assert_allclose(values[:, 0], values[:, 1:].mean(axis=1))
    assert game(masks[:0]).shape == (0, 3)
    alone = component_game(lm(), QUESTIONS[1:])(masks)
    np.testing.assert_allclose(values[:, 2], alone[:, 1], atol=1e-5)


def test_the_plan_is_told_before_a_run():
    game = component_game(lm(), QUESTIONS, ["L1.H0", "L1.MLP"], absent="mean", rescale=True)
    plan = game.describe(budget=10)
    assert game.players == ("L1.H0", "L1.MLP")
    assert plan["absent"] == "mean, rescaled"
    assert (plan["players"], plan["prompts"], plan["tokens"], plan["tokens_in_all"]) == (
        2,
        2,
        7,
        70,
    )


def test_the_fingerprint_follows_what_values_depend_on():
    def key(*, questions=QUESTIONS, **options):
        return fingerprint(component_game(lm(), questions, **options))

    json.dumps(component_game(lm(), QUESTIONS).identity())
    assert key() == key()
    others = [
        key(questions=QUESTIONS[:1]),
        key(sites="kv"),
        key(score="kl"),
        key(absent="mean"),
        key(absent="mean", references=["good film"]),
        key(rescale=True),
    ]
    assert len({key(), *others}) == 7


def test_values_stored_before_absent_was_the_word_are_found_again():
    told = component_game(lm(), QUESTIONS, absent="mean", rescale=True).identity()["subject"]
    assert set(told) == {"model", "questions", "score", "replacement"}
    assert (told["replacement"]["kind"], told["replacement"]["rescale"]) == ("mean", True)


def test_resampling_takes_the_questions_own_references():
    asked = [Question("the film was", "good", ("bad",), reference="the plot was")]
    game = component_game(lm(), asked, "layers", absent="resample")
    assert game(np.zeros((1, 2), dtype=bool)).shape == (1, 2)
    with pytest.raises(InvalidInputError, match="no reference prompt"):
        component_game(lm(), QUESTIONS, absent="resample")
    with pytest.raises(InvalidInputError, match="3 tokens and its reference 2"):
        component_game(lm(), asked, absent="resample", references=["good film"])


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ("L9.H9", "unknown site 'L9.H9'"),
        ("head", "All of a kind: heads, kv, mlps, layers"),
        (["L0.H0", "no"], "unknown site 'no'"),
        ([], "no sites"),
        (["L0.H0", 3], "all names"),
        (["L0.H0", "L0.H0"], "act on the same activations"),
    ],
)
def test_sites_that_do_not_fit_are_told(chosen, told):
    with pytest.raises(InvalidInputError, match=told):
        component_game(lm(), QUESTIONS, chosen)


def test_other_arguments_that_do_not_fit_are_told():
    with pytest.raises(UnknownNameError, match="value of absent 'median'"):
        component_game(lm(), QUESTIONS, absent="median")
    with pytest.raises(UnknownNameError, match="score 'f1'"):
        component_game(lm(), QUESTIONS, score="f1")
    with pytest.raises(InvalidInputError, match="needed a model of one part, a CausalLM"):
        component_game(tiny_model(), QUESTIONS)
    with pytest.raises(InvalidInputError, match="65 tokens"):
        component_game(lm(), [Question("a " * 65, "b")])
    with pytest.raises(InvalidInputError, match=r"edited texts; GatedSubject runs gates .*\(8\)"):
        component_game(lm(), QUESTIONS).subject.evaluate(Interventions(inputs=("a",)))
    with pytest.raises(InvalidInputError, match="at least one component"):
        ComponentLens(())


def test_positions_must_be_in_every_prompt():
    model = lm()
    with pytest.raises(InvalidInputError, match="prompt of 3 tokens"):
        component_game(model, QUESTIONS, sites.positions(model.model, [3], layers=[1]))


def test_all_kinds_of_sites_make_games():
    model = lm()
    for chosen in (
        sites.positions(model.model, [0, 1], layers=[1]),
        sites.neurons(model.model, 1, range(5)),
        sites.modules(model.model, ["model.layers.0.mlp", "model.norm"]),
    ):
        values = component_game(model, QUESTIONS, chosen)(np.eye(len(chosen), dtype=bool))
        assert np.ptp(values[:, 0]) > 1e-4
