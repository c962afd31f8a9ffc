"""The report of alignment methods: its figures from traces, its hypervolume by drawing lots, and its page whatever the texts hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import make
import numpy as np
import pytest
from page_checks import CANARY, Page, PageChecks
from scipy import stats

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.exact.optimise import Trace, optimise
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.objective import objectives
from moorings.report.align.view import (
    AlignReport,
    Front,
    Line,
    Panel,
    Value,
    front,
    gold_by_kl,
    hypervolume,
    line,
    means_by_step,
)
from moorings.report.align.write import render_align_html, write_align_report


def _trace(seed: int, steps: int = 20, *, gold: bool = True) -> Trace:
    rng = np.random.default_rng(seed)
    rewards = {name: rng.normal(size=(3, 5)) for name in ("kind", "clear")}
    objective = objectives.make(Use(use="xi_constrained", thresholds={"kind": 0.4, "clear": 0.2}))
    base = SoftmaxPolicy(np.zeros((3, 5)), base=np.zeros((3, 5)))
    return optimise(base, rewards, objective, steps, 0.5, gold=rng.normal(size=(3, 5)) if gold else None)


def _gains(seed: int, n: int, end: str = "") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"method {at}{end}": rng.normal(0.3, 0.2, (4, 2)) for at in range(n)}


def _full(end: str = "") -> AlignReport:
    traces = [_trace(seed) for seed in range(3)]
    panels = (
        gold_by_kl({f"xi{end}": traces}, title=f"Gold{end}"),
        means_by_step(traces, limits={f"kind at{end}": 0.4}, title=f"Rewards{end}"),
        means_by_step(traces, ["share kind", "share clear"], kind="logged"),
    )
    return AlignReport(
        f"title{end}", f"about{end}", panels, (front(f"front{end}", f"x{end}", f"y{end}", _gains(1, 11, end)),)
    )


def _hostile() -> AlignReport:
    lines = tuple(Line(p.text, (0.0, 1.0), (Value(0.1), Value(0.2, 0.1, math.inf))) for p in make.PAYLOADS)
    panel = Panel(
        make.PAYLOADS[0].text, make.PAYLOADS[1].text, make.PAYLOADS[2].text, lines, ((make.PAYLOADS[3].text, 0.1),)
    )
    spots = front("f", "x", "y", {p.text: np.zeros((1, 2)) for p in make.PAYLOADS})
    return AlignReport(make.PAYLOADS[0].text, make.PAYLOADS[1].text, (panel,), (spots,))


REPORTS: dict[str, Callable[[], AlignReport]] = {
    "full": _full,
    "hostile": _hostile,
    "one point": lambda: AlignReport(
        "one", panels=(Panel("p", "x", "y", (line("a", np.ones((1, 1)), np.ones((1, 1))),)),)
    ),
    "front alone": lambda: AlignReport("front", fronts=(front("f", "x", "y", _gains(2, 2)),)),
    "unknown": lambda: AlignReport(
        "gap", panels=(Panel("p", "x", "y", (Line("a", (0.0, 1.0), (Value(math.nan), Value(1.0))),)),)
    ),
}


@pytest.fixture(params=REPORTS)
def page(request: pytest.FixtureRequest) -> Page:
    return Page(render_align_html(REPORTS[request.param]()))


class TestPage(PageChecks):
    """See `PageChecks`."""


def test_no_attribute_holds_untrusted_text_and_the_page_shows_it() -> None:
    page = Page(render_align_html(_full(CANARY)))
    assert not [value for _, attrs in page.elements for value in attrs.values() if value and "canary" in value]
    for text in ("title", "about", "Gold", "Rewards", "kind at", "front", "method 10"):
        assert f"{text}{CANARY}" in page.text


def test_a_line_is_the_mean_over_repeats_with_their_t_interval() -> None:
    traces = [_trace(seed, steps) for seed, steps in ((0, 20), (1, 30), (2, 25))]
    (found,) = gold_by_kl({"xi": traces}).lines
    assert len(found.x) == len(found.y) == 21
    gold = np.array([trace.gold[20] for trace in traces])
    low, high = stats.t.interval(0.95, 2, gold.mean(), stats.sem(gold))
    assert found.y[20] == pytest.approx((gold.mean(), low, high))
    assert found.x[20] == pytest.approx(np.mean([trace.kl[20] for trace in traces]))
    assert math.isnan(gold_by_kl({"xi": traces[:1]}).lines[0].y[5].low)


def test_rewards_and_multipliers_are_told_by_step() -> None:
    traces = [_trace(seed) for seed in range(2)]
    rewards = means_by_step(traces, limits={"kind": 0.4})
    assert [one.name for one in rewards.lines] == ["kind", "clear"]
    assert rewards.limits == (("kind", 0.4),)
    assert rewards.lines[0].y[7].mean == pytest.approx(np.mean([t.rewards["kind"][7] for t in traces]))
    shares = means_by_step(traces, ["share kind"], kind="logged").lines[0]
    # Logged when a step is taken, so that the start policy may have none.
    assert shares.y[9].mean == pytest.approx(np.mean([t.logged["share kind"][9] for t in traces]))


def test_the_hypervolume_is_the_share_of_lots_that_a_point_covers() -> None:
    rng = np.random.default_rng(8)
    for n in (1, 2, 5, 20):
        points = rng.random((n, 2))
        lots = rng.random((200_000, 2))
        covered = (
            (lots[:, None] <= points).all(axis=2).any(axis=1)
            if n < 20
            else np.array([(points >= lot).all(axis=1).any() for lot in lots[:20_000]])
        )
        assert hypervolume(points) == pytest.approx(covered.mean(), abs=0.012)
    assert hypervolume(np.array([[1.0, 1.0]]), (0.5, 2.0)) == 0.0


def test_the_front_holds_whom_nobody_beats_in_both() -> None:
    gains = {
        "a": np.array([[1.0, 3.0]]),
        "b": np.array([[2.0, 2.0]]),
        "c": np.array([[1.0, 1.0]]),
        "d": np.array([[2.0, 1.0]]),
    }
    found: Front = front("f", "x", "y", gains)
    assert [spot.name for spot in found.best] == ["a", "b"]
    assert found.spots[0].hypervolume.mean == 3.0


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ConfigError, match="has nothing to show"):
        render_align_html(AlignReport("empty"))
    with pytest.raises(ConfigError, match="'p' has nothing to draw"):
        render_align_html(AlignReport("empty", panels=(Panel("p", "x", "y", ()),)))
    with pytest.raises(ConfigError, match="method 'xi' has no trace with a gold reward"):
        gold_by_kl({"xi": [_trace(0, gold=False)]})
    with pytest.raises(ConfigError, match="'speed' is not among logged of every trace; there are: beyond clear"):
        means_by_step([_trace(0)], ["speed"], kind="logged")
    with pytest.raises(ConfigError, match="give equal shapes"):
        line("a", np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ConfigError, match=r"gains of 'a' have shape \(1, 3\)"):
        front("f", "x", "y", {"a": np.ones((1, 3))})


def test_both_files_hold_the_numbers(tmp_path) -> None:
    written = write_align_report(_full(), tmp_path / "new")
    told = json.loads(written["json"].read_text("utf-8"))
    assert told["panels"][0]["lines"][0]["y"][3]["mean"] == pytest.approx(_full().panels[0].lines[0].y[3].mean)
    assert len(told["fronts"][0]["spots"]) == 11
    assert written["html"].read_text("utf-8").startswith("<!doctype html>")
