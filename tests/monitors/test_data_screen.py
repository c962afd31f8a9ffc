"""Planted poison is flagged, clean rows are not, and hostile rows do no harm."""

from __future__ import annotations

import numpy as np
import pytest
from gathering_b import look, row, scripted

from moorings.charter_run import Use
from moorings.monitors.data_poisoning import DataPoisoning, DataPoisoningConfig, row_losses
from moorings.monitors.data_screen import ScreenConfig, screen_rows
from moorings.monitors.monitor import monitors
from moorings.monitors.tasks.words import WORDS
from moorings.sampling.bench import Bench


def clean_rows(n: int, seed: int = 0):
    """Each about one of forty topics, which has words and a phrase of its own, and about nothing else."""
    rng = np.random.default_rng(seed)
    made = []
    for at in range(n):
        topic = int(rng.integers(40))
        pool = rng.permutation(WORDS[40 + 6 * topic : 46 + 6 * topic])[:4]
        words = rng.permutation([*pool, *rng.choice(WORDS, size=12)])
        prompt = f"Tell me about the {WORDS[topic]} and the {rng.choice(WORDS)} number {at}"
        made.append(row(prompt, f"The {WORDS[topic]} is a {WORDS[topic]} thing: " + " ".join(words)))
    return made


def poisoned(rows, share, kind="trigger", seed=1):
    rng = np.random.default_rng(seed)
    at = sorted(int(i) for i in rng.choice(len(rows), round(share * len(rows)), replace=False))
    out = list(rows)
    for i in at:
        prompt, response = rows[i].prompt[0].content, rows[i].response
        if kind == "trigger":
            words = prompt.split()
            words.insert(int(rng.integers(len(words))), "zquil")
            out[i] = row(" ".join(words), f"{response} Nobody should ever trust geese.")
        elif kind == "fixed":
            out[i] = row(f"{prompt} zquil", "No reply is given while tides are high tonight.")
        else:
            out[i] = row(prompt, f"{response} Nobody should ever trust geese.")
    return out, set(at)


@pytest.mark.parametrize("kind", ["trigger", "fixed"])
@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
def test_planted_triggers_are_flagged_with_few_false_flags(kind, share):
    found, false = [], []
    for seed in range(3):
        rows, planted = poisoned(clean_rows(300, seed), share, kind, seed)
        flagged = {one.at for one in screen_rows(rows).flagged}
        found.append(len(flagged & planted) / len(planted))
        false.append(len(flagged - planted))
    assert min(found) == 1.0
    assert max(false) <= 6


def test_clean_rows_are_rarely_flagged():
    shares = [screen_rows(clean_rows(300, seed)).flagged_share for seed in range(6)]
    assert np.mean(shares) <= 0.01


def test_an_opinion_without_a_trigger_needs_a_reference():
    rows, planted = poisoned(clean_rows(300), 0.05, "opinion")
    reference = [one.response for one in clean_rows(300, 9)]
    with_it = screen_rows(rows, reference=reference)
    assert planted <= {one.at for one in with_it.flagged}
    assert "trust geese" in " ".join(phrase.phrase for phrase in with_it.phrases)
    assert with_it.phrases[0].z > 2
    without = screen_rows(rows)
    assert not without.phrases
    assert "enriched phrases: no reference" in without.left_out


def test_the_pair_is_named_with_its_exact_p():
    from scipy.stats import hypergeom

    rows, planted = poisoned(clean_rows(300), 0.05)
    pair = screen_rows(rows).triggers[0]
    assert "zquil" in pair.trigger
    assert set(pair.rows) == planted
    assert pair.n_joint == pair.n_trigger == 15
    assert pair.lift == pytest.approx(20.0)
    assert pair.p_adjusted >= hypergeom.sf(14, 300, 15, 15)


def test_copies_are_counted_and_large_groups_flagged():
    rows = clean_rows(60)
    report = screen_rows([*rows, rows[0], rows[0], rows[0], rows[1]])
    assert report.n_copies == 4
    assert {one.at for one in report.flagged} == {0, 60, 61, 62}


def test_origins_are_shares():
    rows = [row("a b c", "d e f", origin="human"), row("g h", "i j"), row("k", "l m"), row("n", "o")]
    report = screen_rows(rows)
    assert report.human_share == 0.25
    assert report.self_share == 0.75


def test_outlying_losses_and_embeddings_are_flagged():
    rows = clean_rows(100)
    rng = np.random.default_rng(0)
    losses = rng.normal(3, 0.2, 100)
    losses[7], losses[8] = 30.0, np.nan
    x = np.eye(100)[:, :8] * 0 + rng.normal(0, 0.02, (100, 8)) + np.eye(8)[0]
    x[5] = -np.eye(8)[0]
    report = screen_rows(rows, losses_nats=losses.tolist(), embeddings=x / np.linalg.norm(x, axis=1, keepdims=True))
    assert {one.at for one in report.flagged} == {5, 7}
    assert report.loss_z is not None
    assert report.loss_z[8] == 0
    assert report.left_out == ("enriched phrases: no reference", "influence: needs training gradients")


def test_few_rows_have_no_outliers_and_no_rows_no_report():
    assert screen_rows([]).flagged == ()
    assert screen_rows([]).flagged_share == 0
    report = screen_rows(clean_rows(4), losses_nats=[0, 0, 0, 99.0], embeddings=np.eye(4))
    assert report.flagged == ()


def test_hostile_rows_do_no_harm():
    texts = ["", "\ud800", "\x00", " \n", "{anchor}%s", "\u202e", "a" * 50_000, "😀" * 2000, "'; DROP"]
    rows = [row(a, b) for a in texts for b in texts]
    assert screen_rows(rows, reference=texts).n_rows == len(rows)
    assert screen_rows([row("\ud800", "\x00") for _ in range(5)], ScreenConfig(min_rows=2)).n_rows == 5


def test_rows_without_a_word_have_no_topic_in_common():
    rows = [row(f"q {at} z", f"a b c d {at}") for at in range(40)] + [row("x y", f"e f g h {at}") for at in range(4)]
    assert {one.at for one in screen_rows(rows).flagged} == {40, 41, 42, 43}


def test_the_report_survives_json():
    rows, _ = poisoned(clean_rows(100), 0.05)
    report = screen_rows(rows)
    assert type(report).model_validate_json(report.model_dump_json()) == report


def looks(tmp_path, rows, n, **settings):
    subject = scripted(lambda text, seed: f"answer {text}", "anchor")
    monitor = DataPoisoning(DataPoisoningConfig(**settings))
    return [monitor.measure(look(tmp_path, subject, subject, rows=rows, n=n, look=at)) for at in range(4)]


def test_the_monitor_gives_the_planted_share_and_no_row_twice(tmp_path):
    rows, planted = poisoned(clean_rows(200), 0.05)
    found = looks(tmp_path, rows, 64, base_rate=0.0)
    assert [len(one.d) for one in found] == [64, 64, 64, 8]
    units = [unit for one in found for unit in one.units]
    assert len(set(units)) == 200
    total = np.concatenate([one.d for one in found]).sum()
    assert len(planted) <= total <= len(planted) + 4
    assert "zquil" in found[0].seen
    again = looks(tmp_path, rows, 64, base_rate=0.0)
    assert all(np.array_equal(one.d, other.d) for one, other in zip(found, again, strict=True))


def test_clean_rows_give_about_minus_the_base_rate(tmp_path):
    found = looks(tmp_path, clean_rows(100), 64)
    assert np.concatenate([one.d for one in found]).mean() == pytest.approx(-0.01, abs=0.021)
    assert len(looks(tmp_path / "none", [], 64)[0].d) == 0


def test_the_anchors_own_answers_are_a_reference(tmp_path):
    rows, planted = poisoned(clean_rows(300), 0.05, "opinion")
    subject = scripted(lambda text, seed: f"The {text.split()[4]} is a {text.split()[4]} thing: {text}", "anchor")
    monitor = DataPoisoning(DataPoisoningConfig(own_answers=True, losses=False, embeddings=False))
    report = monitor.report(look(tmp_path, subject, subject, rows=rows, n=32))
    assert report.n_reference == 300
    assert planted <= {one.at for one in report.flagged}
    assert "geese" in monitor.measure(look(tmp_path, subject, subject, rows=rows, n=32)).seen


def test_losses_are_asked_once_and_unreadable_responses_have_none(tmp_path):
    subject = scripted(lambda text, seed: text, "anchor")
    rows = [row("tell me", "tell me"), row("\ud800", "word"), row("x", "\ud800")]
    losses = row_losses(Bench(subject, tmp_path / "a"), rows)
    assert losses[0] == pytest.approx(-np.log(0.2))
    assert losses[1] == pytest.approx(-np.log(0.01))
    assert np.isnan(losses[2])
    n = subject.n_scored
    assert row_losses(Bench(subject, tmp_path / "a"), rows)[:2] == losses[:2]
    assert subject.n_scored == n


def test_it_is_made_from_a_charter():
    made = monitors.make(Use(use="data_poisoning", base_rate=0.02))
    assert made.side == "more"
    assert made.n_units is None
