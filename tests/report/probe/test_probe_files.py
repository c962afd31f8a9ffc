"""The report on probes as Markdown, JSON and files."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import make
import probes_made
import pytest
from markdown_it import MarkdownIt

from moorings.errors import InputError, StorageFullError
from moorings.report.probe.markdown import render_probe_markdown
from moorings.report.probe.rows import fixed
from moorings.report.probe.view import assemble
from moorings.report.probe.write import read_probe_report, render_probe_json, write_probe_report
from moorings.store.disk import Disk

NAMES = {"json": "profile.json", "markdown": "report.md", "html": "report.html"}


def test_written_profiles_read_back(tmp_path: Path) -> None:
    sheets, profiles = probes_made.rounds()
    rounds = [str(at) for at in range(6)]
    folder = tmp_path / "a" / "b"
    files = write_probe_report(profiles, folder, sheets=sheets, rounds=rounds, title="t", live=probes_made.live())
    assert {form: path.name for form, path in files.items()} == NAMES
    assert sorted(p.name for p in folder.iterdir()) == sorted(NAMES.values())
    back = read_probe_report(files["json"])
    assert (back.profiles, back.rounds, back.title) == (profiles, tuple(rounds), "t")
    assert back.live is not None
    assert back.live.outcomes["praises"]["length"].by_seed == (2.5, 3.5)
    json.loads(files["json"].read_text("ascii"), parse_constant=pytest.fail)
    again = write_probe_report(
        back.profiles, tmp_path / "c", rounds=back.rounds, title="t", live=back.live.model_dump()
    )
    assert again["json"].read_bytes() == files["json"].read_bytes()


def test_equal_inputs_give_equal_files(tmp_path: Path) -> None:
    one, profile = probes_made.realistic()
    first, second = (write_probe_report([profile], tmp_path / name, sheets=[one]) for name in "ab")
    assert {k: p.read_bytes() for k, p in first.items()} == {k: p.read_bytes() for k, p in second.items()}


def test_hostile_profiles_read_back_lone_surrogates_included(tmp_path: Path) -> None:
    one, profile = probes_made.hostile([p.text for p in make.PAYLOADS])
    path = tmp_path / "profile.json"
    path.write_text(render_probe_json(assemble([profile], [one], "x\ud800")), encoding="ascii")
    back = read_probe_report(path)
    assert back.profiles == (profile,)
    assert back.title == "x\ud800"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"title": "x\\ud800\\n"}', '{"moorings_probe_report": 2}', "[" * 100_000]
)
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"no report of probes that Moorings wrote") as caught:
        read_probe_report(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        read_probe_report(tmp_path / "none.json")


class FullDisk(Disk):
    """A disk that has no room."""

    def write(self, fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_report_whole(tmp_path: Path) -> None:
    one, profile = probes_made.realistic()
    before = {form: path.read_bytes() for form, path in write_probe_report([profile], tmp_path).items()}
    with pytest.raises(StorageFullError):
        write_probe_report([profile], tmp_path, sheets=[one], title="another", disk=FullDisk())
    assert {form: (tmp_path / name).read_bytes() for form, name in NAMES.items()} == before
    assert len(list(tmp_path.iterdir())) == 3


def _tokens(text: str) -> set[str]:
    parser = MarkdownIt("gfm-like", {"linkify": True, "html": True})
    return {t.type for block in parser.parse(text) for t in (block, *(block.children or ()))}


def test_hostile_text_makes_no_markup_in_markdown() -> None:
    texts = [p.text for p in make.PAYLOADS]
    one, profile = probes_made.hostile(texts)
    track = probes_made.live(texts[:3], texts[3])
    text = render_probe_markdown(assemble([profile, profile], [one], texts[0], texts[1:3], track))
    text.encode("utf-8")
    kinds = _tokens(text)
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "fence", "code_inline", "hr"}
    assert "table_open" in kinds


def test_markdown_tells_the_profile() -> None:
    one, profile = probes_made.realistic()
    text = render_probe_markdown(assemble([profile], [one], "Before"))
    s1 = profile.subtasks[0]
    assert s1.subtask == "S1"
    assert s1.accuracy.item is not None
    assert s1.accuracy.item.interval is not None
    ends = s1.accuracy.item.interval
    for wanted in (
        "# Before",
        "**Δ Above chance on 2 of 3.** Above chance\\: S1 by +",
        "## Read this first",
        "## Abilities",
        "## Dispositions",
        f"| Right, averaged over orders | {fixed(s1.accuracy.item.value)} | {fixed(ends.low)} to {fixed(ends.high)} | 0.250 |",
        "| observed less unobserved, items right |",
        "| Hardest items |",
        "| Items that show it most |",
        "| direct\\_neg |",
    ):
        assert wanted in text, wanted


def test_markdown_tells_rounds_and_the_live_track() -> None:
    sheets, profiles = probes_made.rounds()
    rounds = [str(at) for at in range(6)]
    text = render_probe_markdown(assemble(profiles, sheets, rounds=rounds, live=probes_made.live()))
    for wanted in (
        "| Round | Right | Interval | Less the first | Would have been found |",
        "| Round | Shows it |",
        "| 2 | not asked |",
        "), rose |",
        "), fell |",
        "## Live track",
        "| length | praises | more | +3.000 (+2.000 to +4.000) | more 70.0 %, less 20.0 %, same 10.0 % |",
        "| praise | plain | unclear | not known (not known to not known) |",
    ):
        assert wanted in text, wanted


def test_long_tables_and_lists_are_cut_and_counted() -> None:
    rows = [probes_made.plain_item("S1", at, "?", ["a", "b"], structure=f"type {at:03d}") for at in range(230)]
    text = render_probe_markdown(assemble([probes_made.told(probes_made.by_choice(rows, [0] * 230))]))
    assert "30 more in profile.json." in text
    few = [probes_made.plain_item(f"S{at:02d}", 0, "?", ["a", "b"]) for at in range(30)]
    text = render_probe_markdown(assemble([probes_made.told(probes_made.by_choice(few, [0] * 30))]))
    assert "- 6 more like these" in text
