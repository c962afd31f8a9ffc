"""Drawings of probes: what stands where."""

from __future__ import annotations

import re

import probes_made
import pytest

from moorings.probes.metrics.accuracy import Bounds
from moorings.probes.metrics.calibration import CurvePoint
from moorings.probes.metrics.cluster_bootstrap import Figure
from moorings.records import Interval
from moorings.report.forest import Scale
from moorings.report.probe import charts
from moorings.report.probe.rows import Row, gap_rows
from moorings.report.probe.view import ItemMap, ItemSeen, assemble, items_of
from moorings.report.wording import MINUS


def _figure(value: float, low: float | None = None, high: float = 0.0) -> Figure:
    ends = None if low is None else Interval(low=low, high=high)
    return Figure(value=value, interval=ends, n_items=10, n_clusters=10)


def test_a_row_puts_value_interval_and_chance_on_its_scale() -> None:
    scale = Scale(0.0, 1.0, 0.25)
    drawn = str(charts.row_strip(Row("x", _figure(0.5, 0.25, 1.0), 0.25, "", Bounds(low=0.0, high=0.5)), scale))
    assert '<line class="bar" x1="27.0%" x2="96.0%"' in drawn
    assert '<circle class="dot" cx="50.0%"' in drawn
    assert '<line class="chance" x1="27.0%" x2="27.0%"' in drawn
    assert '<rect class="bounds" x="4.0%" y="7" width="46.00%"' in drawn
    assert 'aria-label="0.500, interval 0.250 to 1.000, held against 0.250"' in drawn


def test_without_an_interval_the_dot_is_open() -> None:
    drawn = str(charts.row_strip(Row("x", _figure(0.5)), Scale(0.0, 1.0, 0.25)))
    assert 'class="dot open"' in drawn
    assert 'class="bar"' not in drawn
    assert "too few clusters" in drawn
    assert "not known" in charts.row_strip(Row("x", None), Scale(0.0, 1.0, 0.25))


@pytest.mark.parametrize(("reach", "half"), [(0.05, 0.1), (0.1, 0.1), (0.2, 0.25), (0.6, 1.0), (6.5, 7.0)])
def test_gaps_have_the_same_room_on_both_sides(reach: float, half: float) -> None:
    scale = charts.gap_scale([Row("x", _figure(0.0, -reach, 0.0)), Row("y", None)])
    assert (scale.low, scale.high) == (-half, half)
    assert 0.0 in scale.ticks()
    assert charts.gap_scale([Row("x", _figure(0.0), 0.0, "", Bounds(low=-0.9, high=0.2))]).high == 1.0


def test_shares_below_chance_have_room() -> None:
    assert charts.share_scale([Row("x", _figure(0.5, 0.1, 0.9))]).low == 0.0
    assert charts.share_scale([Row("x", _figure(-0.1, -0.3, 0.1))]).low == -0.5
    assert f"{MINUS}0.5" in charts.row_axis(Scale(-0.5, 1.0, 0.25))


def test_where_interval_and_test_disagree_the_test_holds() -> None:
    gap = probes_made.realistic()[1].subtasks[0].observation_gap
    assert gap is not None
    assert gap.right is not None
    rows = {}
    for p in (0.01, 0.2):
        right = gap.right.model_copy(update={"gap": _figure(0.1, 0.05, 0.15), "p": p})
        one = probes_made.realistic()[1].subtasks[0]
        one = one.model_copy(update={"observation_gap": gap.model_copy(update={"right": right, "key_share": None})})
        rows[p] = gap_rows(one)[0]
    assert (rows[0.01].tone, rows[0.2].tone) == ("info", "calm")
    assert "the test does not confirm it" in rows[0.2].note
    assert "does not confirm" not in rows[0.01].note
    assert len(gap_rows(one)) == 1


def test_a_calibrated_bin_lies_on_the_diagonal() -> None:
    profile = probes_made.realistic()[1]
    seen = profile.subtasks[0].calibration
    assert seen is not None
    points = (
        CurvePoint(confidence=0.0, accuracy=0.0, n_items=1),
        CurvePoint(confidence=0.5, accuracy=0.5, n_items=4),
        CurvePoint(confidence=1.0, accuracy=0.5, n_items=16),
    )
    drawn = str(charts.reliability(seen.model_copy(update={"curve": points}), "c").plot)
    dots = re.findall(r'y1="([\d.]+)" y2="([\d.]+)"/><circle cx="([\d.]+)%" cy="([\d.]+)" r="([\d.]+)"', drawn)
    assert [d[2] for d in dots] == ["3.0", "50.0", "97.0"]
    assert [d[0] == d[1] for d in dots] == [True, True, False]
    assert [d[4] for d in dots] == ["4.0", "5.0", "7.0"]
    assert dots[1][3] == dots[2][3]
    assert "0.50: 0.50; 1.00: 0.50" in drawn


def _seen(share: float, b: float | None) -> ItemSeen:
    item = probes_made.plain_item("S1", 0, "?", ["a", "b"])
    return ItemSeen(item, share, float(share > 0.5), (share, 1 - share), b)


def test_items_stand_by_difficulty_where_all_have_it() -> None:
    seen = tuple(_seen(share, b) for share, b in ((0.0, 2.0), (0.5, 0.0), (1.0, -2.0)))
    drawn = str(charts.item_map(ItemMap(seen, seen, 0), _figure(0.0, -1.0, 5.0), "m").plot)
    assert re.search(r'class="pt no" d="M97 200h0M50 100h0"', drawn)
    assert re.search(r'class="pt yes" d="M3 0h0"', drawn)
    assert 'class="ability" x1="50.0%"' in drawn
    assert '<rect class="band" x="26.5%" y="8" width="70.50%"' in drawn
    assert "3 items by difficulty" in drawn
    bare = str(charts.item_map(ItemMap(seen, seen, 0), _figure(0.0), "m").plot)
    assert "ability" in bare
    assert "band" not in bare


def test_without_difficulty_items_stand_in_order() -> None:
    seen = tuple(_seen(share, None) for share in (0.0, 0.5, 1.0))
    drawn = str(charts.item_map(ItemMap(seen, seen, 0), _figure(0.0, -1.0, 1.0), "m").plot)
    assert 'd="M3 200h0M50 100h0"' in drawn
    assert "ability" not in drawn
    assert "3 items in order of their share" in drawn
    alone = str(charts.item_map(ItemMap(seen[:1], seen[:1], 0), None, "m").plot)
    assert 'd="M50 200h0"' in alone


def test_large_maps_are_thinned_and_say_how_many_there_are() -> None:
    seen = tuple(_seen(at / 10_000, None) for at in range(10_000))
    drawn = str(charts.item_map(ItemMap(seen, seen[:5], 0), None, "m").plot)
    assert drawn.count("h0") == 2500
    assert "10,000 items" in drawn


def test_the_map_of_a_sheet_has_one_dot_an_item() -> None:
    one, profile = probes_made.realistic()
    report = assemble([profile], [one])
    seen = items_of(report, report.entries[0], profile.subtasks[1])
    assert seen is not None
    drawn = str(charts.item_map(seen, profile.subtasks[1].ability, "m").plot)
    assert drawn.count("h0") == len(seen.seen)


def test_rounds_are_joined_by_a_line_and_a_band_that_break_at_a_gap() -> None:
    figures = [_figure(0.5, 0.25, 0.75), _figure(0.5, 0.25, 1.0), None, _figure(0.0, 0.0, 0.5), _figure(0.5)]
    drawing = charts.over_rounds(figures, list("01234"), 0.25, "r", joined=True)
    assert drawing is not None
    plot = str(drawing.plot)
    path = re.search(r'class="path" d="([^"]+)"', plot)
    band = re.search(r'class="band" d="([^"]+)"', plot)
    assert path is not None
    assert band is not None
    assert re.sub(r"[^ML]", "", path[1]) == "MLML"
    assert band[1] == "M10 96L10 32L30 0L30 96Z"
    assert plot.count("<circle") == 4
    assert plot.count('class="s-open"') == 1
    apart = charts.over_rounds(figures, list("01234"), 0.25, "r", joined=False)
    assert apart is not None
    assert 'class="path"' not in apart.plot
    assert charts.over_rounds([None], ["0"], None, "r", joined=True) is None


def test_free_scales_hold_everything_and_end_at_ticks() -> None:
    for figures in ([_figure(-3.1, -4.0, 1.2)], [_figure(0.0, 0.0, 0.0)], [_figure(0.02, 0.01, 0.04)]):
        drawing = charts.over_rounds(figures, ["0"], 0.0, "r", joined=True)
        assert drawing is not None
        assert drawing.labels.count("<text") >= 3
        y = [float(v) for v in re.findall(r'cy="([\d.]+)"', drawing.plot)]
        assert all(8 <= v <= 136 for v in y)


def test_round_labels_are_shown_and_cut_in_drawings() -> None:
    drawing = charts.over_rounds([_figure(0.5)], ["<b>\u202e" + "x" * 30], None, "r", joined=True)
    assert drawing is not None
    assert "&lt;b&gt;⟨U+202E⟩xxxxxx … [24 more characters]" in drawing.plot


def test_choices_are_one_bar() -> None:
    drawn = str(charts.choice_bar((0.5, 0.25, 0.25)))
    assert 'aria-label="more 50.0 %, less 25.0 %, same 25.0 %"' in drawn
    assert [float(w) for w in re.findall(r'class="part c\d" x="[\d.]+%" y="0" width="([\d.]+)%"', drawn)] == [
        50,
        25,
        25,
    ]
