"""Joint games: the product of lenses, and planted interactions across them."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.cross_lens import across
from spexlens.core.interventions import PARTS, Interventions, Needs
from spexlens.lenses.joint.game import JointLens, joint_game
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.training.game import TrainingLens
from tests.planted_recall import recall_game
from tests.planted_triggers import heads_game, words_game

TRAINING = {"steps": 250, "rate": 6e-3}  # enough for the lookup, not for all keys
WORDS = PromptLens("not bad at all")
DATA = TrainingLens([0, 1, 1], ["a", "b"])


class Gates:
    def __init__(self, *players):
        self.players = players

    def intervene(self, masks):
        return Interventions(gates=masks.astype(float))


class Echo:
    """A subject that takes anything and says how many parts it was given."""

    needs = Needs({}, dict.fromkeys(PARTS, ()))

    def evaluate(self, interventions):
        return np.full(interventions.count, len(interventions.parts()), dtype=float)

    def describe(self, interventions):
        return {"parts": self.evaluate(interventions)[0]}


def strongest(game, order=2, **options):
    found = sx.explain(game, 300, "kernelspex", rng=0, **options)
    return across(found.interactions("FBII", order), game.lens.blocks)


def test_each_lens_writes_its_own_part_of_its_own_players():
    lens = JointLens({"words": WORDS, "data": DATA, "heads": Gates("L0.H0")})
    assert lens.players == ("not", "bad", "at", "all", "a", "b", "L0.H0")
    assert lens.blocks == {"words": range(4), "data": range(4, 6), "heads": range(6, 7)}
    masks = np.random.default_rng(0).random((20, 7)) < 0.5
    made = lens.intervene(masks)
    assert made.inputs == WORDS.intervene(masks[:, :4]).inputs
    assert np.array_equal(made.subsets, DATA.intervene(masks[:, 4:6]).subsets)
    assert np.array_equal(made.gates, masks[:, 6:])


def test_a_game_has_the_keep_probability_of_every_lens():
    game = joint_game({"words": WORDS, "heads": Gates("x", "y")}, Echo(), p={"heads": 0.9})
    assert game.p.tolist() == [0.5] * 4 + [0.9] * 2
    assert game.players_of("heads") == (4, 5)
    assert game(np.ones((3, 6), dtype=bool)).tolist() == [2, 2, 2]
    assert game.describe()["lenses"] == {"words": [0, 4], "heads": [4, 6]}


@pytest.mark.parametrize(
    ("lenses", "message"),
    [
        ({"words": WORDS}, "two or more"),
        ({}, "two or more"),
        ([WORDS, DATA], "given as a list; needed a mapping"),
        ({"words": WORDS, "heads": None}, "'heads' given as a NoneType; needed one with players"),
        (
            {"words": WORDS, "data": TrainingLens},
            "'data' given as a type; needed one with",
        ),
        ({"words": WORDS, "heads": Gates()}, "'heads' has no players"),
        ({"words": WORDS, "more": PromptLens("a b")}, "'words' and 'more' both write the inputs"),
        ({"a": Gates("x"), "words": WORDS, "b": Gates("x")}, "'a' and 'b' both write the gates"),
        ({"a": DATA, "b": DATA}, "both write the subsets"),
    ],
)
def test_lenses_that_do_not_go_together_are_told(lenses, message):
    with pytest.raises(sx.InvalidInputError, match=message):
        JointLens(lenses)


@pytest.mark.parametrize("subject", [None, "gpt2", Echo, Gates("x")])
def test_what_is_no_subject_is_told(subject):
    with pytest.raises(sx.InvalidInputError, match=r"subject given as .* needed one that runs"):
        joint_game({"words": WORDS, "heads": Gates("x")}, subject)


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.5, float("nan"), "0.9", None])
def test_a_player_is_ablated_sometimes_and_not_always(p):
    with pytest.raises(
        sx.InvalidInputError, match="for the lens 'heads'; needed a number strictly within"
    ):
        joint_game({"words": WORDS, "heads": Gates("x")}, Echo(), p={"heads": p})


def test_names_that_are_no_lens_are_told():
    lenses = {"words": WORDS, "heads": Gates("x")}
    with pytest.raises(sx.InvalidInputError, match="'layers'; there are lenses words, heads"):
        joint_game(lenses, Echo(), p={"layers": 0.5})
    with pytest.raises(sx.InvalidInputError, match=r"such as \{'words': 0.9\}"):
        joint_game(lenses, Echo(), p=0.9)
    with pytest.raises(sx.InvalidInputError, match="no lens 'layers'"):
        joint_game(lenses, Echo()).players_of("layers")


@pytest.fixture(scope="module")
def recalled():
    game, planted = recall_game(0, **TRAINING)
    return game, planted, strongest(game)


def test_the_asked_demonstration_acts_through_the_head_that_recalls_it(recalled):
    game, planted, found = recalled
    assert len(game.players) == 100
    first, second = found.top(2).values()
    assert next(iter(found)) == planted
    assert first > 1
    assert abs(second) < first / 3  # no other demonstration, and no other head
    masks = np.ones((2, 100), dtype=bool)
    masks[1, planted[1]] = False
    opened, closed = game(masks)
    assert opened - closed > 1


def test_without_the_asked_key_no_demonstration_acts_through_that_head(recalled):
    _, (_, head), found = recalled
    control, _ = recall_game(0, absent=True, **TRAINING)
    through = [abs(effect) for players, effect in strongest(control).items() if head in players]
    assert max(through, default=0.0) < next(iter(found.values())) / 3


@pytest.fixture(scope="module")
def triggered():
    game, planted = words_game(0)
    return game, planted, strongest(game)


def test_a_trigger_word_works_only_through_its_training_examples(triggered):
    _, planted, found = triggered
    assert next(iter(found)) == planted
    assert found[planted] > 3 * abs(list(found.values())[1])
    control, same = words_game(0, planted=False)
    assert abs(strongest(control).get(same, 0.0)) < found[planted] / 10


def test_a_split_plot_finds_the_same_with_a_fraction_of_the_retrainings(triggered):
    _, planted, _ = triggered
    game, _ = words_game(0)
    design = sx.SplitPlot(game.players_of("data"), repeats=20)
    assert next(iter(strongest(game, design=design, batch_size=200))) == planted
    assert game.subject.tally.subsets <= 300 / 5


def test_groups_words_and_heads_meet_in_one_interaction():
    game, (group, word, head) = heads_game(0)
    found = strongest(game, order=3)
    triples = found.select(found.supports.orders() == 3)
    assert next(iter(triples)) == (group, word, head)
    assert next(iter(found.top(1, order=2))) == (group, word)
    control, _ = heads_game(0, planted=False)
    nothing = strongest(control, order=3)
    for members in ((group, word), (group, word, head)):
        assert abs(nothing.get(members, 0.0)) < found[members] / 4
