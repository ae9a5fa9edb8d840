"""The game of a text on an endpoint: on a small server with faults, and on llama.cpp's own."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.evaluate import evaluate, measure
from spexlens.core.interventions import Interventions
from spexlens.core.masks import all_masks, sample_masks
from spexlens.errors import (
    AblationError,
    EndpointError,
    InvalidInputError,
    RefusedPromptError,
    SpexlensWarning,
)
from spexlens.lenses.base import LensGame
from spexlens.lenses.endpoint.game import endpoint_game
from spexlens.lenses.endpoint.response import EchoedLogProbability
from spexlens.lenses.endpoint.samples import Samples, answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.lenses.endpoint.subject import EndpointSubject
from spexlens.lenses.text.prompt import PromptLens
from spexlens.models.endpoint.client import Endpoint
from spexlens.models.endpoint.retry import RetryPolicy
from tests.endpoint_server import (
    REFUSALS,
    ChosenServer,
    error,
    llama_server,
    next_word_log_probabilities,
    tokens_of,
    word_model,
)

TEXT = "a bad film"
ANSWERS = ("good", "bad")


def subject_of(server, score=None, **given):
    endpoint = Endpoint(
        server.url, "tiny", key_variable=None, concurrency=2, retries=RetryPolicy(2, 0.01)
    )
    return EndpointSubject.prepare(endpoint, score or NextTokenLogOdds(*ANSWERS), TEXT, **given)


def game_of(server, **given):
    return LensGame(PromptLens(TEXT), subject_of(server, **given))


# -- values ----------------------------------------------------------------------------------------


def test_values_are_those_of_the_prompts_each_asked_once():
    with ChosenServer() as server:
        game = endpoint_game(server.url, "tiny", "a a film", answers=ANSWERS, key_variable=None)
        values = game(all_masks(3))
        prompts = [body["prompt"] for body in server.bodies[1:]]
    assert len(prompts) == len(set(prompts)) == 6  # "a" and "a film" come from two masks each
    by_prompt = {}
    for mask, value in zip(all_masks(3), values, strict=True):
        kept = " ".join(w for w, keep in zip(("a", "a", "film"), mask, strict=True) if keep)
        assert by_prompt.setdefault(kept, value) == value


def test_a_value_is_the_log_odds_of_the_models_own_distribution():
    with ChosenServer() as server:
        value = game_of(server)(np.array([[True, False, True]]))
    table = next_word_log_probabilities(" film")
    assert value == pytest.approx([table[" good"] - table[" bad"]])


def test_a_batch_that_is_tried_again_pays_only_for_what_failed():
    down = [True]

    def answer(number, body):
        if body["prompt"] == "bad" and down[0]:
            return 503, "busy"
        return word_model(body)

    with ChosenServer(answer) as server:
        game = game_of(server)
        with pytest.raises(EndpointError, match="'bad'"):
            game(all_masks(3))
        paid = {body["prompt"] for body in server.bodies[1:]} - {"bad"}
        before, down[0] = len(server.bodies), False
        again = game(all_masks(3))
        asked = [body["prompt"] for body in server.bodies[before:]]
        assert "bad" in asked
        assert not paid & set(asked)
        np.testing.assert_array_equal(again, game_of(server)(all_masks(3)))


def test_a_prompt_that_fails_for_good_ends_the_run_with_what_was_measured():
    def answer(number, body):
        return (400, "too long") if body["prompt"] == "a bad" else word_model(body)

    with (
        ChosenServer(answer) as server,
        pytest.raises(AblationError, match=r"'a bad'.*400") as told,
    ):
        sx.explain(game_of(server), budget=8, rng=0, batch_size=1)
    assert isinstance(told.value.__cause__, EndpointError)
    assert 0 < len(told.value.values) < 8


def test_a_reply_that_cannot_be_scored_names_its_prompt_and_keeps_the_others():
    def answer(number, body):
        status, content = word_model(body)
        if body["prompt"] == "bad":
            content["choices"][0]["logprobs"] = None
        return status, content

    with ChosenServer(answer) as server:
        game = game_of(server)
        with pytest.raises(EndpointError, match=r"'bad'.*holds no log-prob") as told:
            game(all_masks(3))
        assert told.value.prompt == "bad"
        assert len(game.subject._kept) == 7


# -- refused prompts -------------------------------------------------------------------------------


def filtering(answer, word="bad"):
    """A server that refuses prompts with a word."""
    return ChosenServer(
        lambda number, body: answer if word in body["prompt"].split() else word_model(body)
    )


WORDY = "a good film of the year"


def wordy_game(server, text=WORDY, score=None, **given):
    endpoint = Endpoint(server.url, "tiny", key_variable=None, retries=RetryPolicy(2, 0.01))
    score = score or NextTokenLogOdds(*ANSWERS)
    subject = EndpointSubject.prepare(endpoint, score, "a good film", **given)
    return LensGame(PromptLens(text), subject)


@pytest.mark.parametrize("vendor", REFUSALS)
def test_answers_are_stored_as_they_come_before_a_refusal(tmp_path, vendor):
    store = sx.Store(tmp_path / "values.db")
    with filtering(REFUSALS[vendor], "year") as server:
        game = wordy_game(server)
        for engine in ("local", "threads"):
            with pytest.raises(AblationError, match=r"on_refusal='skip'") as told:
                evaluate(game, all_masks(6), store=store, engine=engine)
            assert isinstance(told.value.__cause__, RefusedPromptError)
        prompts = [body["prompt"].split() for body in server.bodies[1:]]
    answered = [" ".join(words) for words in prompts if "year" not in words]
    stored = store.games()[0].count if store.games() else 0
    assert stored == len(answered) == len(set(answered)) > 0


@pytest.mark.parametrize("score", [None, answer_share("good", 2, max_tokens=1)])
@pytest.mark.parametrize("vendor", REFUSALS)
def test_refused_prompts_have_no_value_and_are_counted(vendor, score):
    masks = all_masks(4)
    with filtering(REFUSALS[vendor]) as server:
        game = wordy_game(server, "a bad film today", score, on_refusal="skip")
        measured = measure(game, masks, batch_size=6)
    assert (np.isnan(measured.values) == masks[:, 1]).all()
    assert (measured.calls, measured.refused, game.subject.record().refused) == (16, 8, 8)
    assert "8 prompts brought no value, the first: the endpoint" in game.notes()[0]


def test_an_explanation_does_without_refused_prompts(tmp_path):
    store = sx.Store(tmp_path / "values.db")
    with filtering(REFUSALS["Azure"]) as server:
        game = wordy_game(server, "a bad film of the year", on_refusal="skip")
        explanation = sx.explain(game, 40, "lasso", rng=0, store=store)
    refused = game.subject.record().refused
    assert not explanation.masks[:, 1].any()
    assert explanation.calls == 39  # the full input was refused, and is not asked again
    assert store.games()[0].count == 39 - refused < 30
    notes = " ".join(explanation.notes)
    assert "of 40 masks were refused and left out" in notes
    assert f"{refused} prompts brought no value" in notes


def test_a_reply_that_cannot_be_scored_is_left_out_too():
    def answer(number, body):
        status, content = word_model(body)
        if "bad" in body["prompt"].split():
            content["choices"][0]["logprobs"] = None
        return status, content

    with ChosenServer(answer) as server:
        game = wordy_game(server, "a bad film of the year", on_refusal="skip", details=True)
        values = game(all_masks(6))
    assert (np.isnan(values) == all_masks(6)[:, [1]]).all()
    assert "holds no log-probabilities" in game.notes()[0]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
def test_what_is_wrong_with_every_prompt_is_no_refusal(status):
    with filtering((status, error("no such key"))) as server:
        game = wordy_game(server, "a bad film of the year", on_refusal="skip")
        with pytest.raises(EndpointError, match=str(status)) as told:
            game(all_masks(6))
    assert not isinstance(told.value, RefusedPromptError)
    assert game.subject.record().refused == 0


def test_the_full_prompt_must_be_answered():
    with filtering(REFUSALS["Azure"]) as server, pytest.raises(RefusedPromptError, match="policy"):
        endpoint_game(
            server.url, "tiny", TEXT, answers=ANSWERS, key_variable=None, on_refusal="skip"
        )


def test_errors_of_an_endpoint_travel_between_processes():
    sent = RefusedPromptError("refused", "a bad film", 400)
    came = pickle.loads(pickle.dumps(sent))
    assert (str(came), came.prompt, came.status) == ("refused", "a bad film", 400)


# -- what is told ----------------------------------------------------------------------------------


def test_bounded_answers_are_told_once_and_counted():
    prompts = ("a yes", "a bad", "film", "a the")
    counts = [_bounded_by_hand(prompt, ("good", "film"), top=4) for prompt in prompts]
    assert counts == [0, 1, 2, 0]
    with ChosenServer() as server:
        endpoint = Endpoint(server.url, "tiny", key_variable=None)
        score = NextTokenLogOdds("good", "film", top=4)
        subject = EndpointSubject.prepare(endpoint, score, "a yes", details=True)
        with pytest.warns(SpexlensWarning, match="told once"):
            values = subject.evaluate(Interventions(inputs=prompts))
        subject.evaluate(Interventions(inputs=prompts))  # a second warning would be an error
    assert values[:, 1].tolist() == counts
    assert (subject.record().values, subject.record().bounded) == (8, 4)


def _bounded_by_hand(prompt, answers, top):
    table = next_word_log_probabilities(tokens_of(prompt)[-1])
    returned = {word.strip() for word in sorted(table, key=table.get, reverse=True)[:top]}
    return len(set(answers) - returned)


def test_the_noise_of_samples_is_told():
    with ChosenServer() as server:
        subject = subject_of(server, answer_share("good", 8, max_tokens=1), details=True)
        values = subject.evaluate(Interventions(inputs=("a film", "a bad", "the")))
    share, error = values.T
    np.testing.assert_allclose(error, np.sqrt(share * (1 - share) / 7))
    assert subject.record().noise_variance == pytest.approx((error**2).mean())


# -- cost ------------------------------------------------------------------------------------------


def test_describe_estimates_without_a_request():
    with ChosenServer() as server:
        game = game_of(server, prices=(2.0, 10.0))
        asked = len(server.bodies)
        assert game.describe() == {
            "players": 3, "endpoint": server.url, "model": "tiny",
            "score": "log p('good') - log p('bad')",
            "requests": 1, "tokens": 4, "cost": pytest.approx((3 * 2 + 1 * 10) / 1e6),
            "lens": game.lens.identity(),
        }  # fmt: skip
        tokens = game.tokens(all_masks(3))
        assert len(server.bodies) == asked
        assert tokens.max() == tokens[-1] == 4
        assert tokens[0] == 1
        game(np.ones((5, 3), dtype=bool))
        assert game.spent() == "3.2e-05"  # the first request, and one for five masks
        assert game.price(8) == "3.2e-05"


def test_the_cost_of_samples_counts_every_one():
    with ChosenServer() as server:
        subject = subject_of(server, Samples(len, "length", 5, max_tokens=2), prices=(0.0, 1e6))
        full = Interventions(inputs=(TEXT,))
        plan, tokens = subject.describe(full), subject.tokens(full)
    assert tokens == 3 + 5 * 2  # the prompt once, as the server gives all choices together
    assert plan["cost"] == pytest.approx(10)


def test_without_prices_there_is_no_cost():
    with ChosenServer() as server:
        game = game_of(server)
    assert "cost" not in game.describe()
    assert (game.price(5), game.spent()) == ("", "")


# -- identity --------------------------------------------------------------------------------------


def test_identity_is_json_and_differs_with_what_values_depend_on():
    with ChosenServer() as server:
        scores = [
            NextTokenLogOdds(*ANSWERS), NextTokenLogOdds(*ANSWERS, top=9),
            NextTokenLogOdds("bad", "good"), Samples(len, "length", 3), Samples(len, "width", 3),
            Samples(len, "length", 4), EchoedLogProbability(" good"),
        ]  # fmt: skip
        subjects = [
            EndpointSubject.prepare(Endpoint(server.url, name, key_variable=None), score, TEXT)
            for name in ("tiny", "other")
            for score in scores
        ]
    written = {json.dumps(subject.identity(), sort_keys=True) for subject in subjects}
    assert len(written) == 14
    assert "key" not in "".join(written)


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either answers"),
        ({"answers": ANSWERS, "score": NextTokenLogOdds(*ANSWERS)}, "either answers"),
        ({"answers": "yes"}, "needed two"),
        ({"answers": ("yes", "no", "a")}, "needed two"),
        ({"answers": ANSWERS, "template": "Review:"}, "exactly once"),
        ({"answers": ANSWERS, "segmenter": "chapters"}, "known: words"),
        ({"answers": ANSWERS, "system": "Be brief."}, "chat=True"),
        ({"answers": ANSWERS, "on_refusal": "ignore"}, "known: raise, skip"),
    ],
)
def test_arguments_are_checked_before_the_first_request(given, message):
    with pytest.raises(InvalidInputError, match=message):
        endpoint_game("http://localhost:1/v1", "m", "good film", **given)


@pytest.mark.parametrize("prices", [(1.0,), (-1.0, 2.0), (float("inf"), 0.0)])
def test_prices_that_do_not_fit_are_told(prices):
    with ChosenServer() as server, pytest.raises(InvalidInputError, match="needed two"):
        game_of(server, prices=prices)


def test_ablations_of_other_things_are_told():
    with ChosenServer() as server, pytest.raises(InvalidInputError, match="components"):
        subject_of(server).evaluate(Interventions(gates=np.ones((1, 2))))


# -- a real server ---------------------------------------------------------------------------------

REVIEW = "The plot is thin, but it never fails to charm"
TEMPLATE = "Review: {text}\nSentiment (positive or negative):"


@pytest.fixture(scope="module")
def llama():
    pytest.importorskip("xllamacpp")
    with llama_server() as url:
        yield Endpoint(url, "smollm2", key_variable=None, concurrency=1)


@pytest.mark.real_model
def test_llama_cpp_agrees_with_the_same_model_in_transformers(llama, smollm2):
    from spexlens.lenses.text.game import prompt_game

    lens = PromptLens(REVIEW, TEMPLATE)
    score = NextTokenLogOdds(" positive", " negative", top=500, exact=True)
    game = LensGame(lens, EndpointSubject.prepare(llama, score, lens.prompt))
    masks = sample_masks(len(game.players), 8, np.random.default_rng(0))
    local = prompt_game(smollm2, REVIEW, TEMPLATE, answers=("positive", "negative"))
    values, expected = game(masks), local(masks)
    assert np.corrcoef(values, expected)[0, 1] > 0.98
    assert np.abs(values - expected).max() < 0.5  # llama.cpp rounds activations to 8 bits
    assert np.ptp(expected) > 1
    assert game.subject.record().bounded == 0


@pytest.mark.real_model
def test_no_wrong_log_odds_of_llama_cpp_is_unmarked(llama):
    lens = PromptLens(REVIEW, TEMPLATE)
    masks = np.vstack([np.ones(10), np.random.default_rng(0).random((3, 10)) < 0.5]).astype(bool)

    def readings(score):
        replies = dict(llama.run([score.requests(text)[0] for text in prompts]))
        return [score.values([replies[row]]) for row in range(len(masks))]

    prompts = lens.intervene(masks).inputs
    score = NextTokenLogOdds("positive", "negative")
    truth = readings(replace(score, top=49152))  # the whole vocabulary
    resolved = score.resolve(llama, lens.prompt)
    assert resolved.top == 500
    for reading, true in zip(readings(resolved), truth, strict=True):
        assert reading.value == pytest.approx(true.value, abs=0.01)
        assert not reading.bounded
    wrong = 0
    for top in (5, 20, 50):
        for reading, true in zip(readings(replace(score, top=top)), truth, strict=True):
            off = abs(reading.value - true.value) > 0.05
            wrong += off
            assert not off or reading.bounded or reading.partial
            assert reading.low - 0.01 <= true.value <= reading.high + 0.01
    assert wrong > 3


@pytest.mark.real_model
def test_an_explanation_of_a_review_on_llama_cpp(llama):
    game = endpoint_game(
        llama.base_url, "smollm2", "thin, but it never fails to charm", TEMPLATE,
        key_variable=None, concurrency=1, score=NextTokenLogOdds("positive", "negative", top=300),
    )  # fmt: skip
    ex = sx.explain(game, budget=40, algorithm="kernelspex", rng=0)
    assert ex.calls in (39, 40)  # a full or empty input that the design holds is not run again
    assert ex.fidelity.r2 > 0.5 > ex.fidelity.linear_r2
    assert game.describe()["tokens"] > len(game.players)


@pytest.mark.real_model
def test_llama_cpp_serves_chats_and_samples(llama):
    praise, scorn = "I loved it, wonderful!", "I hated it, dreadful!"
    chat = Endpoint(
        llama.base_url, "smollm2", chat=True, key_variable=None, concurrency=1,
        system="Answer with one word: Positive or Negative.",
    )  # fmt: skip
    odds = NextTokenLogOdds("positive", "negative", top=300).resolve(chat, praise)
    values = EndpointSubject.prepare(chat, odds, praise).evaluate(
        Interventions(inputs=(praise, scorn))
    )
    assert values[0] > values[1]
    share = Samples(len, "length", 4, max_tokens=3).resolve(llama, praise)
    assert share.choices == 1  # this server has one slot, and refuses more choices
    assert share.usage.requests == 4
    assert 4 <= share.usage.answer_tokens <= 12  # an answer may end before its third token


@pytest.mark.real_model
def test_llama_cpp_is_not_believed_to_echo(llama):
    with pytest.raises(InvalidInputError, match="does not echo"):
        EchoedLogProbability(" positive").resolve(llama, "Sentiment:")
