"""The story as records, Markdown, JSON and files."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import make
import pytest
import runs_made
from markdown_it import MarkdownIt
from pydantic import ValidationError

from moorings.errors import InputError, StorageFullError
from moorings.records import Interval
from moorings.report.run.markdown import render_run_markdown
from moorings.report.run.story import AttemptStory, change_story
from moorings.report.run.view import headline
from moorings.report.run.write import read_story, render_story_json, write_run_report
from moorings.store.disk import Disk

NAMES = {"json": "story.json", "markdown": "report.md", "html": "report.html"}


@pytest.mark.parametrize("made", [runs_made.story, runs_made.empty, runs_made.running, runs_made.failed])
def test_written_stories_read_back(made, tmp_path: Path) -> None:
    files = write_run_report(made(), tmp_path / "a" / "b")
    assert {form: path.name for form, path in files.items()} == NAMES
    assert read_story(files["json"]) == made()
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == sorted(NAMES.values())


def test_hostile_stories_read_back_lone_surrogates_included(tmp_path: Path) -> None:
    story = runs_made.hostile([p.text for p in make.PAYLOADS])
    path = tmp_path / "story.json"
    text = render_story_json(story)
    path.write_text(text, encoding="ascii")
    assert read_story(path) == story
    assert "\ud800" in read_story(path).title


def test_numbers_that_are_not_finite_read_back(tmp_path: Path) -> None:
    wild = runs_made.evidence(0, 1, e=math.inf, interval=Interval(low=-math.inf, high=0.1))
    rounds = (runs_made.story().rounds[0].model_copy(update={"attempts": (runs_made.attempt(1, evidence=(wild,)),)}),)
    path = write_run_report(runs_made.story(rounds=rounds), tmp_path)["json"]
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert read_story(path).rounds[0].attempts[0].evidence == (wild,)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"title": "x\\ud800\\n"}', '{"titel": 1}', "[" * 100_000])
def test_what_is_no_story_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "story.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"story of a run that Moorings wrote") as caught:
        read_story(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        read_story(tmp_path / "none.json")


class FullDisk(Disk):
    """A disk that has no room."""

    def write(self, fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_report_whole(tmp_path: Path) -> None:
    before = {name: path.read_bytes() for name, path in write_run_report(runs_made.running(), tmp_path).items()}
    with pytest.raises(StorageFullError):
        write_run_report(runs_made.story(), tmp_path, disk=FullDisk())
    assert {form: (tmp_path / name).read_bytes() for form, name in NAMES.items()} == before
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "javascript:alert(1)", "//host/x", "a//b", "", "x y.html", 'a"b', "a\ud800", "a/"]
)
def test_links_to_comparisons_are_plain_relative_paths(path: str) -> None:
    with pytest.raises(ValidationError, match="not a relative path of plain names"):
        AttemptStory(diff_report=path)


def test_a_finding_becomes_a_change_that_is_the_same_in_every_round() -> None:
    found = make.finding(1)
    told = change_story(found, watched_as="lists")
    assert told.effect == "+25 points (+17.5 to +32.5 points)"
    assert told.estimate == found.effect.estimate
    assert (told.intent, told.watched_as) == ("side effect", "lists")
    later = found.model_copy(update={"statement": "reworded"})
    assert change_story(later).identity == told.identity
    assert change_story(found.model_copy(update={"scope": "questions"})).identity != told.identity


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"status": "finished"}, "The run finished after 4 rounds, after 2 rollbacks on the way; the model of round 3 is"),
        ({"status": "held"}, "The run is held in round 4 and waits for a person; the model of round 3 is"),
        ({"status": "stopped", "promoted_round": 0}, "The run was stopped in round 4; the anchor, the model of round 0, is"),
    ],
)  # fmt: skip
def test_the_verdict_is_one_sentence(changes, sentence: str) -> None:
    head = headline(runs_made.story(**changes))
    assert head.sentence.startswith(sentence)
    assert head.sentence.endswith(" promoted now.")
    assert head.why.startswith("Refusals passed its tolerance")


def test_a_round_under_way_shows_the_last_rule() -> None:
    assert headline(runs_made.running()).why == "Every monitor lies under its tolerance, so the model is promoted."
    assert headline(runs_made.empty()).why == "No round has begun."


def _tokens(text: str) -> set[str]:
    parser = MarkdownIt("gfm-like", {"linkify": True, "html": True})
    return {t.type for block in parser.parse(text) for t in (block, *(block.children or ()))}


def test_hostile_text_makes_no_markup_in_markdown() -> None:
    story = runs_made.hostile([p.text for p in make.PAYLOADS])
    bare = tuple(
        r.model_copy(update={"attempts": tuple(a.model_copy(update={"diff_report": None}) for a in r.attempts)})
        for r in story.rounds
    )
    text = render_run_markdown(story.model_copy(update={"rounds": bare}))
    text.encode("utf-8")
    kinds = _tokens(text)
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "fence", "code_inline", "hr"}
    assert "table_open" in kinds


def test_markdown_tells_the_run() -> None:
    text = render_run_markdown(runs_made.story())
    for wanted in (
        "# Self-training of SmolLM2-135M",
        "**↩ Rolled back.** Round 4 was rolled back and no try is left; the model of round 3 is promoted now.",
        "### Round 3, try 2: ✓ promoted",
        "- promoted by Ana: Looked at forty answers; they differ in wording only.",
        "- rolled back to round 2 by gate: Refusals passed its tolerance",
        "[comparison of this round](../rounds/4-0/diff/report.html)",
        "over 10¹² of 40",
        "| 1 | 492 | 12.2 % human, 83.7 % self |",
        "moorings verify 'runs/self training'",
    ):
        assert wanted in text, wanted
    failed = render_run_markdown(runs_made.failed())
    assert "- failed: Training gave a loss that is not a number in step 17." in failed
    assert "- under way, at train" in render_run_markdown(runs_made.running())
    assert "No round has begun." in render_run_markdown(runs_made.empty())
