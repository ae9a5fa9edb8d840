"""The report in a real browser; skipped where no Chromium is found, unless it is required."""

import os
import re
import shutil
from importlib import import_module

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.cross_lens import across, paths
from spexlens.explanation.result import Explanation
from tests.report.test_lenses import BLOCKS, NAMES, joint_run
from tests.report.test_page import HOSTILE
from tests.strategies import random_sparse

REQUIRED = os.environ.get("SPEXLENS_BROWSER_TESTS") == "required"  # a skip would hide a failure
sync_api = (
    import_module("playwright.sync_api") if REQUIRED else pytest.importorskip("playwright.sync_api")
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="no Chromium is installed"
)

WORDS = ["the", "plot", "never", "fails", "to", "surprise"]
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


def explanation(players, spectrum):
    """A fitted explanation whose spectrum is replaced by a known one with standard errors."""
    masks = np.random.default_rng(0).random((120, len(players))) < 0.5
    fitted = sx.fit(masks, spectrum(masks), players, "lasso", rng=0)
    known = sx.FourierSpectrum(
        spectrum.supports, spectrum.coefficients, np.full(len(spectrum), 0.1), spectrum.p
    )
    return Explanation(**{**vars(fitted), "spectrum": known})


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(browser):
    """One that runs scripts and one that does not: a new one costs more than all that is tested."""
    return {
        scripted: browser.new_context(java_script_enabled=scripted).new_page()
        for scripted in (True, False)
    }


@pytest.fixture
def show(pages, tmp_path):
    """Open an explanation's report; whatever is logged, thrown, asked or fetched fails the test."""
    wrong = []
    heard = {
        "console": lambda message: wrong.append(message.text),
        "pageerror": lambda error: wrong.append(str(error)),
        "dialog": lambda dialog: (wrong.append(dialog.message), dialog.dismiss()),
        "request": lambda request: (
            request.url.startswith(("file:", "data:")) or wrong.append(request.url)
        ),
    }

    def shown(made, scripted=True, width=1200, **arguments):
        path = made.report(tmp_path / "run.html", **arguments)
        page = pages[scripted]
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path.as_uri())
        return page

    for page in pages.values():
        for event, listener in heard.items():
            page.on(event, listener)
    yield shown
    for page in pages.values():
        page.goto("about:blank")
        page.mouse.move(0, 0)
        page.emulate_media(media="null", color_scheme="null")
        for event, listener in heard.items():
            page.remove_listener(event, listener)
    assert wrong == []


@pytest.fixture(scope="module")
def words():
    terms = {
        (): 0.3, (0,): 0.01, (1,): 0.5, (2,): -0.6, (3,): 0.4, (2, 3): 0.7, (1, 5): -0.3,
        (0, 2, 4): 0.35, (4, 5): 0.02,
    }  # fmt: skip
    return explanation(WORDS, sx.FourierSpectrum.from_dict(terms, 6, p=0.4))


def rows(page):
    return page.locator("#effects tbody tr")


def predicted(page):
    return float(page.locator("#predicted").get_attribute("data-value"))


def test_removing_players_moves_the_prediction_as_predict_says(show, words):
    page = show(words)
    present = np.ones((1, 6), dtype=bool)
    assert predicted(page) == pytest.approx(words.predict(present)[0], rel=1e-6)
    for player in (2, 4):
        page.locator(".player").nth(player).click()
        present[0, player] = False
        assert predicted(page) == pytest.approx(words.predict(present)[0], rel=1e-6)
    assert page.locator(".player.removed").all_inner_texts() == ["never", "to"]
    assert "4 of 6 players present" in page.locator(".prediction").inner_text()
    assert re.search(r"± [\d.]+ \(90 %\)", page.locator("#interval").inner_text())
    page.get_by_role("button", name="Put all players back").click()
    assert predicted(page) == pytest.approx(words.predict(np.ones((1, 6), dtype=bool))[0], rel=1e-6)
    page.get_by_role("button", name="never × fails", exact=True).click()
    assert page.locator(".player.removed").all_inner_texts() == ["never", "fails"]


def test_pointing_at_a_player_shows_what_it_acts_with(show, words):
    page = show(words)
    page.locator(".player").nth(3).hover()
    effects = words.interactions("FBII", 3)
    partners = [members for members in effects if len(members) > 1 and 3 in members]
    assert page.locator("#detail li").count() == len(partners) == 1
    assert "never" in page.locator("#detail li").inner_text()
    assert page.locator(".player.member").all_inner_texts() == ["never", "fails"]
    assert page.locator("#overlay .edge.active").count() == 1
    page.mouse.move(5, 5)
    assert page.locator(".player.member").count() == 0
    rows(page).filter(has_text="the × never × to").hover()
    assert page.locator(".player.member").all_inner_texts() == ["the", "never", "to"]


def test_the_slider_and_the_filters_choose_what_is_shown(show, words):
    page = show(words)
    every = rows(page).count()
    page.locator("#count").fill("2")
    assert rows(page).count() == 2
    assert page.locator("#overlay .edge").count() == 2
    page.locator("#count").fill(str(every))
    page.locator("#order").select_option("2")
    assert set(rows(page).locator("td:nth-child(2)").all_inner_texts()) == {"2"}
    page.locator("#sign").select_option("-1")
    assert all(
        text.startswith("\u2212")
        for text in rows(page).locator("td:nth-child(3)").all_inner_texts()
    )
    page.locator("#sign").select_option("")
    doubtful = page.locator("#effects tr.doubtful").count()
    assert doubtful > 0
    before = rows(page).count()
    page.locator("#sure").check()
    assert rows(page).count() == before - doubtful
    page.locator("#view").select_option(label="Fourier, order 1 to 3")
    assert "Fourier" in page.locator("#effects-note").inner_text()


def test_the_keyboard_does_what_the_mouse_does(show, words):
    page = show(words)
    page.locator(".player").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "never"
    assert "fails" in page.locator("#detail").inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".player").nth(2).get_attribute("aria-pressed") == "true"
    assert page.locator(".player").nth(2).get_attribute("aria-label").endswith("removed")
    page.keyboard.press("End")
    page.keyboard.press("Space")
    assert page.locator(".player.removed").all_inner_texts() == ["never", "surprise"]
    assert page.locator(".player[tabindex='0']").count() == 1


def test_everything_that_acts_has_a_name(show, words):
    page = show(words)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, [role=button], [role=img]")]
        .filter((e) => ![e.ariaLabel, e.labels?.[0]?.textContent, e.textContent].join("").trim())
        .map((e) => e.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("width", [360, 1200])
def test_hostile_names_are_text(show, width):
    page = show(
        explanation(HOSTILE, random_sparse(8, 20, 3, np.random.default_rng(0))), width=width
    )
    texts = page.locator(".player").evaluate_all("players => players.map(p => p.textContent)")
    assert texts[0] == HOSTILE[0]
    assert texts[2] == "مرحبا\\u202e"
    assert texts[3] == "x" * 80 + "…"
    assert texts[7] == "(empty)"
    assert page.locator("main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for player in range(8):
        page.locator(".player").nth(player).focus()


def test_hostile_names_of_lenses_are_text(show):
    lenses = {"<b>words": [0, 5], "</script><script>": [5, 8]}
    run = joint_run(random_sparse(8, 30, 2, np.random.default_rng(0)), HOSTILE, lenses)
    page = show(run, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#left-title").inner_text() == "<b>words"
    assert page.locator("#path-of option").first.inner_text() == HOSTILE[0]
    assert page.locator("main b").count() == 0


def test_components_stand_on_their_grid(show):
    players = [f"L{layer}.H{head}" for layer in range(3) for head in range(4)]
    page = show(explanation(players, random_sparse(12, 25, 3, np.random.default_rng(1))))
    boxes = [page.locator(".player").nth(i).bounding_box() for i in (0, 1, 4)]
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"]
    assert boxes[0]["x"] == boxes[2]["x"] < boxes[1]["x"]
    assert page.locator("#overlay .edge").count() > 0
    page.locator(".player").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.name") == "L1.H0"


def test_items_are_shown_as_text_and_thumbnails(show):
    items = ["<b>Paris</b>", PICTURE, "Rome", "Oslo"]
    page = show(
        explanation(list("abcd"), random_sparse(4, 6, 2, np.random.default_rng(0))), items=items
    )
    assert page.locator(".player .what").first.inner_text() == "<b>Paris</b>"
    assert page.locator(".player img").evaluate("picture => picture.naturalWidth") == 1


@pytest.fixture(scope="module")
def joint():
    return joint_run(random_sparse(9, 60, 3, np.random.default_rng(0)), NAMES, BLOCKS)


def test_pairs_across_the_lenses_are_curves(show, joint):
    page = show(joint)
    names = page.locator("#sides option").all_inner_texts()
    assert sorted(names) == ["heads × data", "words × data", "words × heads"]
    for name in names:
        page.locator("#sides").select_option(label=name)
        left, right = name.split(" × ")
        pairs = across(joint.interactions("FBII"), BLOCKS, (left, right)).top(99, order=2)
        assert page.locator("#curves path").count() == len(pairs)
        assert page.locator("#left button").count() == BLOCKS[left][1] - BLOCKS[left][0]
        assert page.locator("#right-title").inner_text() == right
    page.locator("#sides").select_option(label="words × heads")
    page.locator("#pairs").fill("2")
    assert page.locator("#curves path").count() == 2
    before = page.locator("#curves path").count()
    page.locator("#pairs-sure").check()
    assert 0 <= page.locator("#curves .doubtful").count() < before
    # Every curve ends at the height of its player's row.
    curve = page.locator("#curves .edge").last
    box = page.locator("#curves").bounding_box()
    start = float(re.search(r"M0,([\d.]+)C", curve.locator("path").get_attribute("d"))[1])
    player = curve.get_attribute("data-members").split()[0]
    row = page.locator(f"#left button[data-player='{player}']").bounding_box()
    assert box["y"] + start / 100 * box["height"] == pytest.approx(
        row["y"] + row["height"] / 2, abs=1
    )


@pytest.mark.parametrize("width", [360, 1200])
def test_a_player_s_paths_are_those_of_the_library(show, joint, width):
    page = show(joint, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#sides").select_option(label="words × heads")
    found = joint.interactions("FBII")
    for player in range(3):
        page.locator("#path-of").select_option(str(player))
        expected = paths(found, BLOCKS, player, through="heads")
        told = page.locator("#path li bdi").all_inner_texts()
        carrying = [path.through for path in expected if path.kind == "carries"]
        making_up = [path.through for path in expected if path.kind != "carries"]
        assert told == carrying + making_up
        assert page.locator("#path h3").inner_text() == NAMES[player]
        assert page.locator(".side button[aria-pressed=true]").inner_text() == NAMES[player]


def test_the_lenses_are_walked_by_the_keyboard(show, joint):
    page = show(joint)
    page.locator("#sides").select_option(label="words × heads")
    page.locator("#left button").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#path h3").inner_text() == "bad"
    page.keyboard.press("Enter")
    assert page.locator("#path-of").input_value() == "1"
    assert page.locator("#left [tabindex='0']").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.locator("#path h3").inner_text() == "L1.H1"
    page.locator("#pairs").focus()
    assert page.locator("#path h3").inner_text() == "bad"
    assert "bad, " in page.locator("#left button[aria-pressed=true]").get_attribute("aria-label")


def test_the_prompt_is_shown_whole(show, words):
    text = "Review: " + " ".join(WORDS) + ".\nSentiment:"
    spans, at = [], 8
    for word in WORDS:
        spans.append((at, at + len(word)))
        at += len(word) + 1
    page = show(words, text=text, spans=spans)
    assert page.locator("#stage").text_content() == text


def test_without_scripts_there_is_a_table(show, words):
    page = show(words, scripted=False)
    assert not page.locator("#explore").is_visible()
    assert rows(page).count() == len(words.interactions(order=3).top(40))
    assert page.locator("svg.chart").count() == 2


def test_on_paper_controls_are_gone_and_nothing_is_cut(show, words):
    page = show(words)
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".controls").is_visible()
    assert page.locator("#stage").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize(
    ("players", "long"),
    [
        ([f"word{i}" for i in range(200)], False),
        ([f"word{i}" for i in range(900)], True),
        ([f"L{layer}.H{head}" for layer in range(28) for head in range(32)], False),
    ],
)
def test_on_paper_the_players_stand_on_one_page_or_have_no_arcs(show, players, long):
    page = show(explanation(players, random_sparse(len(players), 40, 3, np.random.default_rng(0))))
    before = page.locator("#wrap").bounding_box()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    box = page.locator("#wrap").bounding_box()
    assert page.locator("#overlay").is_visible() != long
    assert box["width"] < 665
    if not long:
        assert box["height"] < 885
        stage = page.locator("#stage").bounding_box()
        assert stage["x"] + stage["width"] < box["x"] + 665
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#wrap").bounding_box() == before


def test_a_large_report_opens_in_a_second(show):
    spectrum = random_sparse(300, 800, 3, np.random.default_rng(0))
    page = show(explanation([f"word{i}" for i in range(300)], spectrum))
    timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    for _ in range(3):  # a busy machine may be late once or twice
        page.reload()
        loaded = page.evaluate(timing)
        if loaded < 1000:
            break
    assert loaded < 1000
    view = page.evaluate("JSON.parse(document.getElementById('data').textContent).views[0]")
    assert sum(len(members) > 1 for members in view["sets"]) == 500
