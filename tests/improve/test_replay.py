from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, embed_words, row, run
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from moorings.errors import ConfigError
from moorings.improve.replay import composition_chi2, herd, k_centres

SUBJECT = ScoringSubject({}, lambda q, a: 0.0)
CHOICES = ["reservoir", "random", "herding", "k_centre", "score"]


def past(*sizes: int, n_human: int = 0) -> list[list]:
    return [
        [
            row(f"q{r} {i}", f"old {r} {i}", "human" if i < n_human else "self", round=r, score=float(i))
            for i in range(size)
        ]
        for r, size in enumerate(sizes, 1)
    ]


def new(n: int) -> list:
    return [row(f"new {i}", f"said {i}", round=9) for i in range(n)]


def bench(history, seed: int = 0) -> FakeWorkbench:
    return FakeWorkbench(Path("unused"), SUBJECT, history=history, round=9, seed=seed)


def replayed(step) -> list:
    return [one for one in step.rows if one.method == "replay"]


@pytest.mark.parametrize("choice", CHOICES)
def test_the_share_is_of_the_whole_round(choice):
    step = run("replay", bench(past(20, 30)), new(18), share=0.25, choice=choice)
    assert len(replayed(step)) == 6
    assert step.metrics["replay_share"] == 0.25
    assert step.metrics["past_rows"] == 50.0
    assert balances(step, 18)
    assert {one.round for one in replayed(step)} <= {1, 2}
    assert len({one.row_id for one in step.rows}) == 24


def test_the_first_round_has_nothing_to_replay():
    step = run("replay", bench([]), new(5))
    assert step.rows == new(5)
    assert step.metrics["replay_share"] == 0.0
    assert "composition_chi2" not in step.metrics


def test_replayed_rows_of_earlier_rounds_are_not_a_second_past():
    history = past(10, 10)
    history[1] += [one.model_copy(update={"method": "replay"}) for one in history[0][:5]]
    step = run("replay", bench(history), new(90), share=0.1)
    assert step.metrics["past_rows"] == 20.0


def test_rows_that_are_there_already_are_not_replayed():
    history = past(6)
    step = run("replay", bench(history), history[0][:4], share=0.5)
    assert len(step.rows) == 6
    assert len(replayed(step)) == 2


def test_a_reservoir_is_even_over_rows_and_random_is_even_over_rounds():
    history = past(2, 8)
    rounds: dict[str, Counter] = {"reservoir": Counter(), "random": Counter()}
    rows: Counter = Counter()
    for seed in range(400):
        for choice in rounds:
            step = run("replay", bench(history, seed), new(9), share=0.1, choice=choice, audit_rows=0)
            (one,) = replayed(step)
            rounds[choice][one.round] += 1
            rows[one.row_id] += choice == "reservoir"
    assert chisquare([rounds["reservoir"][1], rounds["reservoir"][2]], [80, 320]).pvalue > 1e-3
    assert chisquare([rounds["random"][1], rounds["random"][2]]).pvalue > 1e-3
    assert chisquare([rows[one.row_id] for some in history for one in some]).pvalue > 1e-3


def test_human_rows_keep_their_share_of_the_buffer():
    for choice in CHOICES:
        step = run("replay", bench(past(100, n_human=5)), new(90), share=0.1, choice=choice, human_share=0.3)
        assert step.metrics["buffer_human_share"] >= 0.3
        assert step.metrics["past_human_share"] == 0.05
    few = run("replay", bench(past(100, n_human=2)), new(90), share=0.1, human_share=0.5)
    assert few.metrics["buffer_human_share"] >= 0.2
    assert len(replayed(few)) == 10


def test_score_takes_the_best_and_rows_without_one_last():
    history = past(10)
    history[0][9] = history[0][9].model_copy(update={"score": None})
    step = run("replay", bench(history), new(9), share=0.25, choice="score", human_share=0.0)
    assert sorted(one.score for one in replayed(step)) == [6.0, 7.0, 8.0]


def test_score_can_be_a_feedback_function():
    history = [[row(f"q{i}", " ".join(["word"] * (i * 3 % 7 + 1)), round=1) for i in range(7)]]
    feedback = {"use": "feature", "name": "words", "direction": "lower"}
    step = run("replay", bench(history), new(3), share=0.5, choice="score", feedback=feedback, human_share=0.0)
    assert sorted(len(one.response.split()) for one in replayed(step)) == [1, 2, 3]
    with pytest.raises(ConfigError, match="choice is 'herding'; choose 'score'"):
        run("replay", bench(history), new(3), choice="herding", feedback=feedback)
    with pytest.raises(ConfigError, match="unknown feedback function"):
        run("replay", bench(history), new(3), choice="score", feedback={"use": "likes"})


@given(st.integers(0, 50), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_herding_agrees_with_a_slow_reference(seed, n):
    x = np.random.default_rng(seed).normal(size=(8, 3))
    chosen: list[int] = []
    for _ in range(n):
        free = [at for at in range(8) if at not in chosen]
        chosen.append(min(free, key=lambda at: np.linalg.norm(x.mean(axis=0) - x[[*chosen, at]].mean(axis=0))))
    assert herd(x, n) == chosen
    assert sorted(herd(x, 99)) == list(range(8))


@given(st.integers(0, 50), st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_k_centres_are_within_twice_the_best_cover(seed, n):
    x = np.random.default_rng(seed).normal(size=(8, 2))
    distances = np.linalg.norm(x[:, None] - x[None], axis=2)
    chosen = k_centres(x, n)
    assert len(set(chosen)) == n
    best = min(distances[list(some)].min(axis=0).max() for some in combinations(range(8), n))
    assert distances[chosen].min(axis=0).max() <= 2 * best + 1e-9
    assert k_centres(x[:0], 3) == []
    assert sorted(k_centres(np.ones((3, 2)), 3)) == [0, 1, 2]


def test_composition_is_pearsons_chi_square():
    past_groups = ["a"] * 30 + ["b"] * 50 + ["c"] * 20
    value, df = composition_chi2(["a"] * 8 + ["b"] * 2, past_groups)
    assert value == pytest.approx(chisquare([8, 2, 0], [3, 5, 2]).statistic)
    assert df == 2
    assert composition_chi2(past_groups, past_groups)[0] == 0.0
    assert chi2_contingency([[30, 50, 20], [30, 50, 20]]).statistic == 0.0


def test_a_buffer_chosen_by_score_drifts_from_the_past_and_a_reservoir_does_not():
    rng = np.random.default_rng(3)
    words = ["alpha", "beta", "gamma", "delta", "sparkle", "shine"]
    history = []
    for r in (1, 2, 3):
        some = []
        for i in range(60):
            picked = [words[j] for j in rng.integers(0, 6, 8)]
            some.append(row(f"q{r} {i}", " ".join(picked), round=r, score=float(picked.count("sparkle"))))
        history.append(some)

    def drift(choice: str) -> list[float]:
        return [
            run("replay", bench(history, seed), new(60), share=0.25, choice=choice, human_share=0.0).metrics[
                "buffer_mmd2"
            ]
            for seed in range(40)
        ]

    even, chosen = np.array(drift("reservoir")), np.array(drift("score"))
    assert abs(even.mean()) < 4 * even.std() / np.sqrt(40)
    assert chosen.min() > even.max()


def test_an_audit_can_be_turned_off_and_small_buffers_have_none():
    assert "buffer_mmd2" not in run("replay", bench(past(20)), new(20), share=0.3, audit_rows=0).metrics
    assert "buffer_mmd2" not in run("replay", bench(past(20)), new(9), share=0.1).metrics
    assert "buffer_mmd2" in run("replay", bench(past(20)), new(20), share=0.3, audit_rows=4).metrics


def test_equal_rows_have_a_bandwidth_too():
    history = [[row(f"q{'' if i % 2 else ' '}", "same" + " " * i, round=1) for i in range(8)]]
    assert np.allclose(embed_words(["q\nsame", "q \nsame "]), embed_words(["q\nsame"]))
    assert run("replay", bench(history), new(4), share=0.5).metrics["buffer_mmd2"] == pytest.approx(0.0)
