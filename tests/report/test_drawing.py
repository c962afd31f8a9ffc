"""Differences, forest plot and map."""

from __future__ import annotations

import itertools
import json
import re

import make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.records import Effect, Interval
from moorings.report.differing import side_by_side
from moorings.report.forest import axis, level_bars, scale_of, standardised_interval, strip
from moorings.report.scatter import MAX_POINTS, draw_map, script_data


def _tagged(html: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}>(.*?)</{tag}>", html)


def test_words_of_one_side_are_set_apart() -> None:
    left, right = side_by_side("the old grey cat sat here", "the young cat sat here now")
    assert _tagged(left.html, "del") == ["old grey"]
    assert _tagged(right.html, "ins") == ["young", "now"]
    assert left.compared


def test_unlike_texts_are_not_compared() -> None:
    left, right = side_by_side("one two three four", "five six seven eight")
    assert not left.compared
    assert "<del>" not in left.html
    assert "<ins>" not in right.html


def test_marks_are_found_in_any_case_and_are_not_patterns() -> None:
    left, right = side_by_side("Rope (and) tide", "a rope. and <tide>", ("rope", "(and)", "<tide>"))
    assert _tagged(left.html, "mark") == ["Rope", "(and)"]
    assert _tagged(right.html, "mark") == ["rope", "&lt;tide&gt;"]


def test_a_huge_line_costs_nothing_and_says_what_is_left_out() -> None:
    text = "x" * 50_000 + " needle " + "y" * 10_000_000
    left, right = side_by_side(text, "short", ("needle",))
    assert len(left.html) < 3000
    assert "<mark>needle</mark>" in left.html
    assert "characters before] …" in left.html
    assert "more characters]" in left.html
    assert right.html == "short"


@given(st.lists(st.sampled_from(["a", "b", "<", "\0", "é", "."]), max_size=30), st.data())
@settings(deadline=None)
def test_no_word_is_lost(words: list[str], data: st.DataObject) -> None:
    other = data.draw(st.permutations(words))
    a, b = " ".join(words), " ".join(other)
    left, right = side_by_side(a, b, ("a b", "<"))
    for side, text in ((left, a), (right, b)):
        plain = re.sub(r"</?(ins|del|mark|span)[^>]*>", "", str(side.html)).replace("&lt;", "<")
        assert plain.replace("⟨U+0000⟩", "\0") == text


def _effect(estimate: float, low: float, high: float, spread: float = 0.5) -> Effect:
    return Effect(
        estimate=estimate,
        unit="words",
        standardised=estimate / spread,
        precursor=1.0,
        candidate=1.0 + estimate,
        interval=Interval(low=low, high=high),
        p=0.01,
        p_adjusted=0.02,
        mde=0.1,
        n_prompts=10,
        n_families=10,
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_interval_is_scaled_as_its_estimate(sign: int) -> None:
    ends = sorted((sign * 0.1, sign * 0.3))
    interval = standardised_interval(_effect(sign * 0.2, *ends))
    assert (interval.low, interval.high) == pytest.approx(sorted((sign * 0.2, sign * 0.6)))


def test_no_effect_has_no_known_spread() -> None:
    interval = standardised_interval(_effect(0.0, -0.1, 0.1))
    assert (interval.low, interval.high) == (0.0, 0.0)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 20)), min_size=1, max_size=6))
def test_the_scale_holds_zero_and_every_interval(values: list[tuple[float, float]]) -> None:
    found = [make.finding(0, effect=_effect(m, m - half, m + half)) for m, half in values]
    scale = scale_of(found)
    assert scale.low < scale.high
    assert 2 <= len(scale.ticks()) <= 9
    for f in found:
        interval = standardised_interval(f.effect)
        assert scale.low - 1e-6 <= min(0, interval.low)
        assert max(0, interval.high) <= scale.high + 1e-6
        assert 4 <= scale.position(interval.low) <= scale.position(interval.high) <= 96


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_are_not_finite_are_drawn_inside(bad: float) -> None:
    effect = _effect(0.2, 0.1, 0.3).model_copy(update={"interval": Interval(low=-0.1, high=bad), "candidate": bad})
    scale = scale_of([make.finding(0, effect=effect)])
    drawn = f"{axis(scale)}{strip(scale, effect)}{level_bars(effect, 1)}"
    assert not re.search(r'="[^"]*(inf|nan)[^"]*%', drawn)


def test_every_point_is_drawn_once_and_told_to_the_script() -> None:
    comparison = make.comparison(n_points=300)
    drawn = draw_map(comparison)
    assert drawn is not None
    assert len(re.findall(r"M[-\d.]+ [-\d.]+h", drawn.svg)) == 300
    data = json.loads(drawn.data)
    assert len(data["points"]) == 300
    assert data["points"][7][5] == comparison.map[7].text[:220]
    assert sum(itertools.chain.from_iterable(c.counts for c in drawn.clusters)) == 300


def test_too_many_points_are_thinned_and_none_is_no_map() -> None:
    drawn = draw_map(make.comparison(n_points=MAX_POINTS + 77))
    assert drawn is not None
    assert (drawn.n_shown, drawn.n_points) == (MAX_POINTS, MAX_POINTS + 77)
    assert draw_map(make.comparison(n_points=0)) is None


def test_points_without_a_place_and_with_unknown_arms_or_clusters() -> None:
    comparison = make.comparison(n_points=40)
    odd = [
        p.model_copy(update=change)
        for p, change in zip(
            comparison.map,
            [{"x": float("nan")}, {"y": float("inf")}, {"arm": 9}, {"cluster": -1}, {"cluster": 99}, {"x": 1e300}],
            strict=False,
        )
    ]
    drawn = draw_map(comparison.model_copy(update={"map": (*odd, *comparison.map[6:])}))
    assert drawn is not None
    assert drawn.n_shown == 38
    assert {c.name for c in drawn.clusters} >= {"in no cluster"}
    one = draw_map(comparison.model_copy(update={"map": comparison.map[:1]}))
    assert one is not None
    assert "nan" not in one.svg


@given(st.text(max_size=40))
def test_script_data_reads_back_and_cannot_end_its_element(text: str) -> None:
    data = str(script_data([text, "</script><!--"]))
    assert json.loads(data) == [text, "</script><!--"]
    assert not set(data) & set("<>&\u2028\u2029")
