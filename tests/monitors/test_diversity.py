"""Monitors `answer_diversity` and `style_collapse`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gathering_a import Hostile, draw, gather
from hypothesis import given
from hypothesis import strategies as st

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.monitors.diversity import distinct_share, entropy_share, self_dissimilarity, vendi_score
from moorings.monitors.monitor import monitors
from moorings.monitors.style_collapse import opening_likeness, style_vectors
from moorings.subjects.scripted import ScriptedSubject

WORDS = "anchor bay chain deep ebb gale harbour island keel lantern mast oar pier quay reef sail".split()  # noqa: SIM905


def make(use="answer_diversity", **settings):
    return monitors.make(Use(use=use, **settings))


def varied(salt: str, constant: float = 0.0):
    """Random words; in a share of prompts always the same answer."""

    def answer(messages, seed):
        if draw(messages[-1].content) < constant:
            return "always the same words again and again"
        return " ".join(WORDS[int(draw(salt, seed, i) * len(WORDS))] for i in range(12))

    return answer


def test_vendi_score_has_its_closed_forms():
    assert vendi_score(np.eye(5)) == pytest.approx(5)
    assert vendi_score(np.ones((5, 3))) == pytest.approx(1)
    groups = np.repeat(np.eye(2), [3, 1], axis=0)
    assert vendi_score(groups) == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
    n, s = 4, 0.3
    gram = np.full((n, n), s) + (1 - s) * np.eye(n)
    rows = np.linalg.cholesky(gram)
    shares = [(1 + (n - 1) * s) / n] + [(1 - s) / n] * (n - 1)
    assert vendi_score(rows) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))
    assert vendi_score(np.zeros((3, 2))) == pytest.approx(1), "rows without a direction are alike"


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_vendi_score_is_between_1_and_n_and_knows_no_order(n, d, seed):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    score = vendi_score(rows)
    assert 1 - 1e-9 <= score <= min(n, d) + 1e-6
    assert vendi_score(rows[::-1] * 3) == pytest.approx(score)


def test_other_measures_have_their_closed_forms():
    assert distinct_share(["a", "b", "b", "b"]) == 0.5
    assert distinct_share([]) == 0
    assert entropy_share(["a", "a", "b", "b"]) == pytest.approx(math.log(2) / math.log(4))
    assert entropy_share(["a"]) == 0
    a = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    assert self_dissimilarity(a) == pytest.approx(1 - (0.6 + 0.8 + 0.0) / 3)
    assert self_dissimilarity(np.array([[1.0, 0.0], [-1.0, 0.0]])) == 1


@pytest.mark.parametrize("measure", ["vendi", "distinct", "self_similarity", "entropy"])
def test_diversity_without_a_change_and_with_a_collapse(tmp_path, measure):
    monitor = make(measure=measure)
    same = monitor.measure(gather(varied("a"), varied("c"), tmp_path / "same", n=80))
    assert abs(same.d.mean()) < 4 * same.d.std() / np.sqrt(80)
    half = monitor.measure(gather(varied("a"), varied("c", 0.5), tmp_path / "half", n=80))
    collapsed = half.d > 0.3 * half.anchor
    assert 0.25 < collapsed.mean() < 0.75
    assert half.d.mean() > 0.1 * half.anchor
    assert half.d.mean() == pytest.approx(half.anchor - half.candidate)
    assert half.details[f"candidate_{measure}"] == half.candidate
    if measure in ("vendi", "self_similarity"):
        whole = monitor.measure(gather(varied("a"), varied("c", 1.0), tmp_path / "whole", n=20))
        assert whole.candidate == pytest.approx(0, abs=1e-9)
        assert whole.d.mean() == pytest.approx(whole.anchor)


def test_diversity_of_hostile_answers(tmp_path):
    calls = []

    def embed(texts):
        calls.append(texts)
        assert all(text.strip() for text in texts)
        return np.eye(64)[np.arange(len(texts)) % 64]

    empty = lambda messages, seed: " \n"  # noqa: E731
    seen = make().measure(gather(varied("a"), empty, tmp_path / "empty", n=4, embed=embed))
    assert len(calls) == 2
    assert len(seen.d) == 4
    bad = make().measure(gather(varied("a"), Hostile(varied("a"), version="h"), tmp_path / "bad", n=6))
    assert (len(bad.d), bad.n_missing) == (0, 6), "one of four answers of each prompt fails"
    silent = make().measure(gather(varied("a"), ScriptedSubject({}, name="silent"), tmp_path / "none", n=4))
    assert silent.n_missing == 4


@pytest.mark.parametrize("use", ["answer_diversity", "style_collapse"])
def test_equal_arguments_give_equal_results(tmp_path, use):
    gathering = gather(varied("a"), varied("c"), tmp_path, n=10)
    first, again = (make(use).measure(gathering) for _ in range(2))
    assert first.d.tolist() == again.d.tolist()
    assert first._replace(d=None) == again._replace(d=None)


@pytest.mark.parametrize(
    ("use", "settings", "said"),
    [
        ("answer_diversity", {"n_samples": 3}, "n_samples"),
        ("answer_diversity", {"temperature": 0}, "temperature"),
        ("answer_diversity", {"measure": "bleu"}, "measure"),
        ("style_collapse", {"measure": "content"}, "measure"),
        ("style_collapse", {"words": 0}, "words"),
    ],
)
def test_what_makes_no_sense_is_refused(use, settings, said):
    with pytest.raises(ConfigError, match=said):
        make(use, **settings)


def opens(salt: str, share: float):
    inner = varied(salt)
    return lambda messages, seed: (
        ("Sure! Here is what you " if draw(salt, seed) < share else "") + inner(messages, seed)
    )


def test_opening_likeness():
    assert opening_likeness("a b c d", "A B C D", 4) == 1
    assert opening_likeness("a b", "c d", 4) == 0
    assert opening_likeness("b a", "a b", 4) == 0, "places count"
    assert opening_likeness("", "", 4) == 1
    assert opening_likeness("", "a", 4) == 0
    # Shared: 'a', 'b', 'a b'; all: 3 + 2 + 1 n-grams of each, 3 of them shared.
    assert opening_likeness("a b c", "a b d", 8) == pytest.approx(3 / 9)


def test_style_vectors_are_bounded_and_read_style():
    texts = ["", "\x00\u202e", "Hello! How are you?\n- one\n- two", "word " * 5000, "**Bold** text"]
    values = style_vectors(texts)
    assert ((values >= 0) & (values <= 1)).all()
    assert not np.allclose(values[2], values[4])


@pytest.mark.parametrize("measure", ["opening", "both"])
def test_style_collapse_without_a_change_and_with_a_shared_opening(tmp_path, measure):
    monitor = make("style_collapse", measure=measure)
    same = monitor.measure(gather(opens("a", 0.2), opens("c", 0.2), tmp_path / "same", n=300))
    assert len(same.d) == 150
    assert abs(same.d.mean()) < 4 * same.d.std() / np.sqrt(150)
    more = monitor.measure(gather(opens("a", 0.0), opens("c", 1.0), tmp_path / "more", n=100, previous=opens("p", 1.0)))
    assert more.d.mean() > 0.1
    assert more.d.mean() == pytest.approx(more.candidate - more.anchor)
    assert abs(more.d_previous.mean()) < 0.1
    assert more.details["candidate_top_opening"] == 1
    assert 'open with "sure! here is"' in more.seen
    assert "|" in more.units[0]


def test_style_collapse_sees_a_shared_form(tmp_path):
    listed = lambda messages, seed: "Here:\n- " + "\n- ".join(varied("c")(messages, seed).split()[:5])  # noqa: E731

    def mixed(messages, seed):
        return listed(messages, seed) if draw("m", seed) < 0.5 else varied("a")(messages, seed)

    seen = make("style_collapse", measure="style").measure(gather(mixed, listed, tmp_path, n=100))
    assert seen.d.mean() > 4 * seen.d.std() / np.sqrt(50)


def test_style_collapse_of_hostile_answers(tmp_path):
    bad = Hostile(varied("a"), version="h")
    seen = make("style_collapse").measure(gather(varied("a"), bad, tmp_path / "some", n=25))
    assert len(seen.d) + seen.n_missing == 12
    assert (np.abs(seen.d) <= 1).all()
    silent = ScriptedSubject({}, name="silent")
    none = make("style_collapse").measure(gather(varied("a"), silent, tmp_path / "none", n=4))
    assert (len(none.d), none.n_missing) == (0, 2)
    assert "candidate_top_opening" not in none.details
