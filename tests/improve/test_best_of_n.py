from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, make_prompts, run

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.best_of_n import BestOfNConfig, kl_of_best
from moorings.records import content_hash

WORDS = {"use": "feature", "name": "words"}


def counted(messages, seed: int) -> str:
    """One to 20 words, all lengths alike."""
    return " ".join(["word"] * (1 + int(content_hash([messages[-1].content, seed])[:8], 16) % 20))


def bench(folder: Path, script=counted, n: int = 60, **metadata) -> FakeWorkbench:
    return FakeWorkbench(folder, ScoringSubject(script, lambda q, a: 0.0), make_prompts(n, **metadata))


def test_the_kept_score_grows_as_the_expected_maximum_does(tmp_path):
    for n in (2, 4, 8):
        step = run("best_of_n", bench(tmp_path / str(n), n=150), feedback=WORDS, n=n)
        # Uniform on 1..20: E max = sum over k of 1 - (k / 20)^n, k = 0..19.
        expected = sum(1 - (k / 20) ** n for k in range(20))
        assert step.metrics["mean_kept_score"] == pytest.approx(expected, abs=4 * 20 / math.sqrt(12 * 150))
        assert step.metrics["kl_nats"] == pytest.approx(math.log(n) - (n - 1) / n)
        assert len(step.rows) == 150
        assert step.dropped == {"not among the best": 150 * (n - 1)}


def test_the_best_is_kept_and_parents_tell_the_draw(tmp_path):
    workbench = bench(tmp_path, n=5)
    step = run("best_of_n", workbench, feedback=WORDS, n=6, keep=2)
    decoding = BestOfNConfig(feedback=Use(**WORDS), n=6).decoding()
    answers = workbench.subject.ask(workbench.prompts, "r1-samples", decoding=decoding, n_samples=6)
    for number, prompt in enumerate(workbench.prompts):
        kept = [row for row in step.rows if row.prompt == prompt.messages]
        drawn = sorted((len(one.response.split()) for one in answers[number]), reverse=True)
        assert [row.score for row in kept] == drawn[:2]
        by_key = {one.key: one.response for one in answers[number]}
        for row in kept:
            assert row.parents[0] == prompt.prompt_id
            assert by_key[row.parents[1]] == row.response
    assert "kl_nats" not in step.metrics


def test_pairs_hold_the_best_and_the_worst(tmp_path):
    step = run("best_of_n", bench(tmp_path), feedback=WORDS, n=5, pairs=True)
    assert balances(step, 0)
    for row in step.rows:
        assert len(row.response.split()) == row.score > len(row.rejected.split())
        assert len(row.parents) == 3
    assert step.dropped["neither best nor worst"] == 3 * len(step.rows)
    assert step.dropped["became the worse half of a pair"] == len(step.rows)


def test_answers_that_tie_make_no_pair_and_the_first_is_best(tmp_path):
    step = run("best_of_n", bench(tmp_path / "a", lambda m, s: f"word {s}", n=4), feedback=WORDS, n=3, pairs=True)
    assert step.rows == []
    assert step.dropped == {"no better and worse answer": 12}
    assert step.metrics["tied_share"] == 1.0
    kept = run("best_of_n", bench(tmp_path / "b", lambda m, s: f"word {s}", n=4), feedback=WORDS, n=3)
    assert len(kept.rows) == 4


@pytest.mark.parametrize("pairs", [False, True])
def test_nothing_below_the_least_score_is_kept(tmp_path, pairs):
    step = run("best_of_n", bench(tmp_path), feedback=WORDS, n=2, min_score=15.0, pairs=pairs)
    assert step.rows
    assert min(row.score for row in step.rows) >= 15
    assert step.dropped["score below the least allowed"] > 0
    assert balances(step, 0)


def test_answers_without_a_score_are_missing_not_worst(tmp_path):
    workbench = bench(tmp_path, lambda m, s: "yes" if s % 2 else "no", n=20)
    workbench.prompts = [
        prompt.model_copy(update={"metadata": {"answer": "yes"} if at % 2 else {}})
        for at, prompt in enumerate(workbench.prompts)
    ]
    step = run("best_of_n", workbench, feedback={"use": "answer_key"}, n=8, min_score=1.0)
    assert step.dropped["no score"] == 80
    assert {row.response for row in step.rows} == {"yes"}
    assert balances(step, 0)


def test_failed_answers_of_all_prompts_leave_nothing(tmp_path):
    step = run("best_of_n", bench(tmp_path, {}, n=3), feedback=WORDS, n=2)
    assert step.rows == []
    assert step.dropped == {"the model gave no answer": 6}
    assert step.metrics["graded_share"] == 0.0


def test_kl_of_the_best_of_n_by_simulation():
    # Ranks of n uniform draws: the best has density n u^(n-1), so KL = E[ln(n u^(n-1))] under it.
    u = np.random.default_rng(0).random((100_000, 4)).max(axis=1)
    assert kl_of_best(4) == pytest.approx(np.log(4 * u**3).mean(), abs=0.01)


@pytest.mark.parametrize("settings", [{"keep": 4}, {"pairs": True, "keep": 2}])
def test_impossible_settings_are_refused(tmp_path, settings):
    with pytest.raises(ConfigError, match="keep fewer than n, and 1 for pairs"):
        run("best_of_n", bench(tmp_path), feedback=WORDS, **settings)
