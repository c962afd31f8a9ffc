"""Structure of the run's page: what may stand where, whatever the texts hold."""

from __future__ import annotations

import re

import make
import pytest
import runs_made
from page_checks import CANARY, Page, PageChecks, canaries

from moorings.report.run.html import MAX_CHANGES, render_run_html
from moorings.report.run.story import AttemptStory, RoundStory, RunStory

LITERALS = {"status", "side", "action", "verdict", "intent", "diff_report"}
STORIES = {
    "story": runs_made.story,
    "empty": runs_made.empty,
    "running": runs_made.running,
    "failed": runs_made.failed,
    "hostile": lambda: runs_made.hostile([p.text for p in make.PAYLOADS]),
    "bare": lambda: runs_made.story(
        status="held", promoted_round=None, rounds=(RoundStory(round=1, attempts=(AttemptStory(),)),)
    ),
}


@pytest.fixture(params=STORIES, scope="module")
def page(request: pytest.FixtureRequest) -> Page:
    return Page(render_run_html(STORIES[request.param]()))


def _text(story: RunStory) -> str:
    return " ".join(Page(render_run_html(story)).text.split())


class TestPage(PageChecks):
    links = r"#[\w-]+|data:,|\.\./rounds/\d+-\d+/diff/report\.html"


def test_no_attribute_holds_untrusted_text_and_the_page_shows_it() -> None:
    marked = RunStory.model_validate(canaries(runs_made.story().model_dump(), LITERALS))
    page = Page(render_run_html(marked))
    for tag, attrs in page.elements:
        for key, value in attrs.items():
            assert "canary" not in f"{key} {value}", (tag, key)
    assert page.text.count(CANARY.strip()) > 100


def test_every_payload_is_shown() -> None:
    text = Page(render_run_html(STORIES["hostile"]())).text
    for payload in make.PAYLOADS:
        assert payload.visible in text, payload.name


def test_no_hidden_character_is_left() -> None:
    html = render_run_html(runs_made.hostile([p.text for p in (*make.PAYLOADS, make.HUGE)]))
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]", html)
    assert len(html) < 3_000_000


def test_the_page_tells_the_run() -> None:
    text = _text(runs_made.story())
    for wanted in (
        "Answers become shorter and more helpful",
        "Round 4 was rolled back and no try is left; the model of round 3 is promoted now.",
        "First held: Answer diversity is undecided after 256 prompts",
        "Then promoted: Looked at forty answers; they differ in wording only. by Ana",
        "Round 3, try 2",
        "back to round 2",
        "decided by refusals",
        "1 harm, 3 fine, 3 undecided",
        "harm is above +0.08",
        "harm shown",
        "over 10¹² of 40",
        "192, 3 missing",
        "From +6 points (+2 to +10 points) in round 2 to +19 points (+15 to +23 points) in round 4.",
        "12.2 % human, 83.7 % self",
        "best_of_n 372, rewrite 60, human_mix 60",
        "duplicate 12, below the score 118",
        "planted phrase 9",
        "2.21 → 1.67",
        "185,000",
        "moorings verify 'runs/self training'",
        "5b3c9a705b3c",
        "214 entries",
        "20260801",
    ):
        assert wanted in text, wanted


def test_what_is_missing_is_said_to_be_missing() -> None:
    text = _text(runs_made.empty())
    for wanted in (
        "The run is in no round yet; it is not known which model is promoted now.",
        "No round has begun.",
        "No monitor is named and none has reported.",
        "No round has been searched",
        "No data has been collected yet.",
        "Nothing has been trained yet.",
        "The hash of the journal is not known.",
    ):
        assert wanted in text, wanted
    bare = _text(STORIES["bare"]())
    for wanted in ("Nothing was decided.", "not there yet", "not measured", "not searched", "No comparison report.",
                   "There is no evidence yet.", "not trained", "No phase has ended yet."):  # fmt: skip
        assert wanted in bare, wanted


def test_a_run_under_way_and_a_failed_one_say_so() -> None:
    now = _text(runs_made.running())
    assert "The run is in round 2 of 4, at train; the model of round 1 is promoted now." in now
    assert "Under way, at train. Nothing has been decided yet." in now
    broken = _text(runs_made.failed())
    assert "The run failed in round 2 and holds; the model of round 1 is promoted now." in broken
    assert broken.count("Training gave a loss that is not a number in step 17.") >= 2


def test_each_number_of_a_drawing_stands_in_a_table() -> None:
    page = Page(render_run_html(runs_made.story()))
    plots = [a for tag, a in page.elements if tag == "svg" and a.get("class") == "trend"]
    assert len(plots) == 7 + 2
    text = " ".join(page.text.split())
    for point in runs_made.story().rounds[3].attempts[0].evidence:
        assert f"{point.n_units:,}" in text
        assert f"{point.mean:+.2f}".replace("-", "\N{MINUS SIGN}") in text


def test_long_runs_fold_what_went_well_and_stay_small() -> None:
    html = render_run_html(runs_made.large())
    assert len(html.encode()) < 3_000_000
    page = Page(html)
    folded = [a for tag, a in page.elements if tag == "details" and "fold" in (a.get("class") or "")]
    assert len(folded) == 50 - 3
    assert len([a for tag, a in page.elements if tag == "svg" and a.get("class") == "trend"]) == 30 + 4


def test_of_many_discovered_changes_the_rest_is_counted() -> None:
    found = tuple(runs_made.change(i, 0.1) for i in range(MAX_CHANGES + 7))
    story = runs_made.story(rounds=(RoundStory(round=1, attempts=(runs_made.attempt(1, findings=found),)),))
    assert "7 more in story.json." in _text(story)
    assert "61 more below" in _text(story)
