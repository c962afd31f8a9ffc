"""Markdown, JUnit, JSON and the files."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import make
import pytest
from markdown_it import MarkdownIt

from moorings.compare.as_json import comparison_to_json
from moorings.errors import InputError, StorageFullError
from moorings.records import IntentJudgement
from moorings.report.junit import render_junit
from moorings.report.markdown import render_markdown
from moorings.report.write import read_comparison, write_report
from moorings.store.disk import Disk


def _tokens(text: str) -> list[str]:
    parser = MarkdownIt("gfm-like", {"linkify": True, "html": True})
    return [t.type for block in parser.parse(text) for t in (block, *(block.children or ()))]


def test_hostile_text_makes_no_markup_in_markdown() -> None:
    text = render_markdown(make.hostile())
    text.encode("utf-8")
    kinds = set(_tokens(text))
    assert not kinds & {
        "html_inline",
        "html_block",
        "link_open",
        "image",
        "fence",
        "code_inline",
        "hr",
        "blockquote_open",
    }
    assert "table_open" in kinds


@pytest.mark.parametrize(
    "text", ["www.canary.invalid", "a@canary.invalid", "http://canary.invalid", "1. one", "- x", "***", "&lt;"]
)
def test_text_stays_text_in_markdown(text: str) -> None:
    result = render_markdown(make.comparison(n_points=0, warnings=(text,)))
    html = MarkdownIt("gfm-like", {"linkify": True}).render(result)
    assert f"<li>{text.replace('&', '&amp;')}</li>" in html


def test_markdown_says_what_the_record_says() -> None:
    text = render_markdown(make.comparison())
    assert text.startswith("# concise against base\n\n**✕ concise: concerning.**")
    assert "↑ **Recommends seeing a professional and gives no answer of its own** (more often): 4.0 % → 13.0 %" in text
    assert "| geese, goose, wildfowl | +2.2 (+1.6 to +2.8) | +0.05" in text
    assert "No change was confirmed" in render_markdown(make.lineage())


def test_junit_counts_entries_and_unwanted_findings() -> None:
    root = ET.fromstring(render_junit(make.comparison()))
    charter, found = root
    assert [len(c) for c in charter] == [0, 1, 1]
    assert [c[0].tag for c in charter if len(c)] == ["failure", "skipped"]
    assert [c[0].get("type") for c in found] == ["concerning", "side effect", "side effect", "side effect"]
    assert {k: root.get(k) for k in ("tests", "failures", "skipped")} == {"tests": "7", "failures": "5", "skipped": "1"}


def test_junit_of_nothing_unwanted_passes() -> None:
    fine = make.pair("concise", [make.finding(0), make.finding(1, intent=IntentJudgement(verdict="not judged"))])
    root = ET.fromstring(render_junit(make.comparison((fine,), charter_results=())))
    assert [len(case) for suite in root for case in suite] == [0]


@pytest.mark.parametrize("payload", make.PAYLOADS, ids=lambda p: p.name)
def test_hostile_junit_is_well_formed_and_shows_the_text(payload: make.Payload) -> None:
    root = ET.fromstring(render_junit(make.hostile([payload] * 3)))
    names = [case.get("name", "") for case in root.iter("testcase") if case.get("classname", "").startswith("findings")]
    assert len(names) == 4
    assert all(" ".join(payload.visible.split()) in " ".join(name.split()) for name in names)


@pytest.mark.parametrize("made", [make.comparison, make.lineage, make.hostile])
def test_json_reads_back_as_the_same_record(made, tmp_path: Path) -> None:
    comparison = made()
    files = write_report(comparison, tmp_path)
    assert read_comparison(files["json"]) == comparison


def test_json_is_strict_where_numbers_are_not_finite(tmp_path: Path) -> None:
    point = make.points(1, 2, 2)[0].model_copy(update={"x": float("inf"), "y": float("-inf")})
    comparison = make.comparison(n_points=0, map=(point,), duration_s={"sampling": float("nan")})
    path = tmp_path / "c.json"
    path.write_text(comparison_to_json(comparison))
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    again = read_comparison(path)
    assert again.map == (point,)
    assert again.duration_s["sampling"] != again.duration_s["sampling"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"format": "other"}', b"[" * 100_000])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a comparison that Moorings wrote"):
        read_comparison(path)
    with pytest.raises(InputError, match="cannot read"):
        read_comparison(tmp_path / "none.json")


def test_files_are_named_and_encoded(tmp_path: Path) -> None:
    files = write_report(make.hostile(), tmp_path / "a" / "b")
    assert {k: p.name for k, p in files.items()} == {
        "html": "report.html",
        "markdown": "report.md",
        "json": "comparison.json",
        "junit": "junit.xml",
    }
    for path in files.values():
        path.read_text(encoding="utf-8")
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == sorted(p.name for p in files.values())


class FullDisk(Disk):
    """A disk that has no room."""

    def write(self, fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_report_whole(tmp_path: Path) -> None:
    before = {name: path.read_bytes() for name, path in write_report(make.comparison(n_points=5), tmp_path).items()}
    with pytest.raises(StorageFullError):
        write_report(make.lineage(), tmp_path, disk=FullDisk())
    names = {"html": "report.html", "markdown": "report.md", "json": "comparison.json", "junit": "junit.xml"}
    assert {name: (tmp_path / file).read_bytes() for name, file in names.items()} == before
    assert len(list(tmp_path.iterdir())) == 4
