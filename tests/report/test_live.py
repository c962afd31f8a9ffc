"""The live view: a panel that fits any window, or JSON lines; hostile names act in neither."""

from __future__ import annotations

import io
import json
import math
import re
import threading
from typing import Any

import make
import pytest
from rich.console import Console, Group

from moorings.records import Decision, Evidence, Interval
from moorings.report.live import LiveView


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def evidence(i: int = 0, **changes: Any) -> Evidence:
    status = ("fine", "undecided", "harm")[i % 3]
    fields: dict[str, Any] = {
        "monitor": f"monitor {i}",
        "statement": "Something is wrong.",
        "round": 1,
        "side": "more",
        "tolerance": 0.1,
        "n_units": 64,
        "mean": 0.01 * i,
        "interval": Interval(low=-0.05, high=0.2),
        "e_value": 1.5,
        "threshold": 40.0,
        "status": status,
    }
    return Evidence(**(fields | changes))


def decision(round: int, action: str = "promote", **changes: Any) -> Decision:
    return Decision(**({"round": round, "action": action, "rule": "All is under its tolerance."} | changes))


def terminal(width: int = 100, height: int = 30) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, legacy_windows=False)


def tell_all(view: LiveView, texts: tuple[str, ...] = ("ordinary",), n_monitors: int = 6) -> None:
    for text in texts:
        view.run_started({"title": text, "n_rounds": 3, "promoted_round": 0})
        view.round_started(1, 0)
        view.phase(text)
        view.progress(5, 20, text)
        for i in range(n_monitors):
            view.evidence(evidence(i, monitor=f"{text}{i}", statement=text, seen=text))
        view.decided(decision(1, rule=text, by=text, causes=(text,)))
        view.message(text)


def drawn(view: LiveView, width: int, height: int) -> list[str]:
    """Lines of the panel as a window of this size shows them."""
    console = terminal(width, height)
    view._console, view._width = console, width
    lines = console.render_lines(Group(view._draw()), console.options.update(width=width), pad=False)
    return ["".join(part.text for part in line) for line in lines]


def test_the_panel_says_where_the_run_is() -> None:
    clock = Clock()
    view = LiveView(terminal(), clock=clock)
    view.run_started({"title": "Self-training", "n_rounds": 3, "promoted_round": 0})
    view.round_started(2, 1)
    view.phase("train")
    view.progress(10, 50, "steps")
    clock.now += 8
    view.progress(20, 50, "steps")
    view.evidence(evidence(0, monitor="forgetting", mean=0.034))
    view.evidence(evidence(2, monitor="refusals", mean=0.17, e_value=3e12))
    text = "\n".join(drawn(view, 110, 30))
    for wanted in ("Self-training", "Round 2 of 3, try 2", "promoted: the anchor", "20 of 50 steps, 24.0 s left", "+0.17",
                   "over 10¹² of 40", "◆ harm shown", "-0.05 to +0.20".replace("-", "\N{MINUS SIGN}")):  # fmt: skip
        assert wanted in text, wanted
    assert text.index("refusals") < text.index("forgetting")


def test_decisions_move_what_is_promoted() -> None:
    view = LiveView(terminal())
    assert "promoted: not known" in "\n".join(drawn(view, 100, 30))
    for told, promoted in (
        (decision(1), "round 1"),
        (decision(2, "hold"), "round 1"),
        (decision(2, by="Ana"), "round 2"),
        (decision(3, "rollback", back_to=1), "round 1"),
        (decision(3, "rollback", back_to=0, attempt=1), "the anchor"),
    ):
        view.decided(told)
        text = "\n".join(drawn(view, 100, 30))
        assert f"promoted: {promoted}" in text
    assert "↩ Round 3, try 2 rolled back" in text
    assert "✓ Round 2 promoted (by Ana)" in text


@pytest.mark.parametrize("width", [1, 2, 12, 33, 34, 40, 60, 84, 200])
@pytest.mark.parametrize("height", [1, 2, 7, 8, 10, 24, 60])
def test_the_panel_fits_every_window(width: int, height: int) -> None:
    view = LiveView(terminal())
    tell_all(view, n_monitors=40)
    for r in range(2, 30):
        view.decided(decision(r))
    lines = drawn(view, width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_hostile_texts_do_not_act_on_the_terminal() -> None:
    console = terminal(120, 40)
    view = LiveView(console)
    with view:
        tell_all(view, tuple(p.text[:5000] for p in make.PAYLOADS))
    raw = console.file.getvalue()
    assert "⟨U+001B⟩[31mred" in raw
    assert "⟨U+202E⟩" in raw
    unstyled = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", unstyled)
    assert not re.search(r"\x1b\[(3[18]|2J).{0,3}red", raw)
    assert "[bold]" in "\n".join(drawn(_with_title("[bold]x[/bold]"), 100, 20))


def _with_title(title: str) -> LiveView:
    view = LiveView(terminal())
    view.run_started({"title": title})
    return view


def test_a_window_that_changes_its_width_is_cleared_once() -> None:
    console = terminal(100, 30)
    view = LiveView(console)
    view._draw()
    assert console.file.getvalue() == ""
    console.size = (70, 30)  # type: ignore[assignment]
    console._width = 70
    view._draw()
    view._draw()
    assert console.file.getvalue() == "\x1b[2J\x1b[H"


def test_the_view_ends_with_its_threads_and_shows_the_cursor_again() -> None:
    before = threading.enumerate()
    console = terminal()
    with pytest.raises(KeyError), LiveView(console) as view:
        _fail(view)
    # One that is just ending counts as ended; tqdm's monitor, which any bar of another test may start, is not the view's.
    started = [one for one in threading.enumerate() if one not in before and type(one).__name__ != "TMonitor"]
    for one in started:
        one.join(5)
    assert not [one.name for one in started if one.is_alive()]
    assert console.file.getvalue().rstrip().endswith("\x1b[?25h")


def _fail(view: LiveView) -> None:
    tell_all(view)
    raise KeyError("x")


def lines_of(tell: Any, clock: Clock | None = None) -> list[dict[str, Any]]:
    console = Console(file=io.StringIO(), force_terminal=False)
    with LiveView(console, clock=clock or Clock()) as view:
        tell(view)
    text = console.file.getvalue()
    text.encode("ascii")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def test_without_a_terminal_each_event_is_a_json_line() -> None:
    events = lines_of(tell_all)
    assert [e["event"] for e in events] == [
        *("run", "round", "phase", "progress"),
        *["evidence"] * 6,
        *("decision", "message"),
    ]
    assert events[0] == {"event": "run", "title": "ordinary", "n_rounds": 3, "promoted_round": 0}
    assert events[4]["interval"] == {"low": -0.05, "high": 0.2, "level": 0.95}
    assert events[10]["action"] == "promote"


def test_progress_lines_come_at_most_once_a_second_and_at_the_end() -> None:
    clock = Clock()

    def tell(view: LiveView) -> None:
        view.phase("sample")
        for done in range(101):
            view.progress(done, 100, "answers")
            clock.now += 0.125

    told = [e for e in lines_of(tell, clock) if e["event"] == "progress"]
    assert [e["done"] for e in told][:3] == [0, 8, 16]
    assert told[-1]["done"] == 100
    assert len(told) == 14
    assert told[0]["left_s"] is None
    assert told[1]["left_s"] == pytest.approx(11.5)
    assert told[-1]["left_s"] == 0


def test_hostile_texts_and_odd_numbers_stay_one_json_line_each() -> None:
    texts = tuple(p.text[:5000] for p in make.PAYLOADS)
    events = lines_of(lambda view: tell_all(view, texts, n_monitors=1))
    assert [e["text"] for e in events if e["event"] == "message"] == list(texts)
    odd = lines_of(lambda view: view.evidence(evidence(0, mean=math.nan, e_value=math.inf)))
    assert (odd[0]["mean"], odd[0]["e_value"]) == ("NaN", "Infinity")


def test_lines_can_go_elsewhere() -> None:
    kept: list[str] = []
    with LiveView(terminal(), write=kept.append) as view:
        view.message("hello")
    assert kept == ['{"event": "message", "text": "hello"}\n']


def test_a_phase_without_a_total_has_no_estimate() -> None:
    view = LiveView(terminal())
    view.round_started(1, 0)
    view.phase("sample")
    view.progress(3, None, "answers")
    view.progress(9, None, "answers")
    text = "\n".join(drawn(view, 100, 30))
    assert "9 answers" in text
    assert "left" not in text
