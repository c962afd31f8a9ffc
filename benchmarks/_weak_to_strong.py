"""Weak teachers of six strengths, one strong student: how much of the gap it recovers, by loss (Burns et al. 2023)."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from moorings.feedback.weak_to_strong import StudentConfig, imitation, performance_gap_recovered, train_student

__all__ = ["LOSSES", "World", "digits", "reviews", "sweep", "told"]

DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
REVIEWS = DATA / "text-differences" / "review_sentences.jsonl.gz"
Loss = Literal["plain", "confidence", "product"]
LOSSES: tuple[Loss, ...] = ("plain", "confidence", "product")
N_DRAWS = 2000
MIDDLE = (2, 3)
"""Strengths of the middle, of six, chosen before anything was measured; they are compared with the weakest and the strongest."""


class World(NamedTuple):
    """Labelled inputs, and what teachers see of them."""

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    strengths: tuple[int, ...]
    """What a teacher sees: buckets of hashed words, or pixels; weakest first."""
    views: Callable[[np.random.Generator], list[np.ndarray]]
    """What the teacher of each strength sees of all rows."""
    student: dict[str, Any]
    """Settings of student and ceiling, chosen by the ceiling's accuracy with splits 100 and 101."""


def reviews() -> World | None:
    """Sentences of reviews and their sentiment; teachers see hashed words, students MiniLM embeddings; None without the data."""
    from sklearn.feature_extraction.text import HashingVectorizer

    from moorings.subjects.embedders import open_embedder

    if not REVIEWS.exists():
        return None
    with gzip.open(REVIEWS, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    vectors = np.asarray(open_embedder(threads=1).embed_texts([row["text"] for row in rows]), dtype=np.float64)
    labels = np.array([row["sentiment"] == "positive" for row in rows], dtype=np.float64)
    texts, strengths = [row["text"] for row in rows], (8, 32, 128, 512, 2048, 8192)

    def views(rng: np.random.Generator) -> list[Any]:
        return [HashingVectorizer(n_features=k, alternate_sign=False).transform(texts) for k in strengths]

    return World(
        "reviews", vectors, labels, strengths, views, {"learning_rate": 1e-3, "weight_decay": 0.3, "epochs": 10}
    )


def digits() -> World:
    """Images of digits, and whether the digit is odd; comes with scikit-learn."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    inputs, strengths = inputs / 16, (2, 4, 8, 16, 32, 64)

    def views(rng: np.random.Generator) -> list[np.ndarray]:
        order = rng.permutation(inputs.shape[1])
        return [inputs[:, order[:k]] for k in strengths]

    return World("digits", inputs, (labels % 2).astype(np.float64), strengths, views, {})


class _Seed(NamedTuple):
    """Who was right on which test row, with one split."""

    weak: np.ndarray
    """[strengths, rows]"""
    students: np.ndarray
    """[losses, strengths, rows]"""
    ceiling: np.ndarray
    imitated: np.ndarray
    """[losses, strengths]: share of the teacher's errors that the student makes as well."""


def one_seed(world: World, seed: int) -> _Seed:
    """Teachers on one part with gold labels, students on another with the teachers', all tested on a third."""
    rng = np.random.default_rng([seed, 312])
    order = rng.permutation(len(world.labels))
    first, second, test = np.split(order, [int(0.4 * len(order)), int(0.8 * len(order))])
    x, y = world.inputs, world.labels
    seen = world.views(rng)

    def student(labels: np.ndarray, loss: Loss) -> np.ndarray:
        config = StudentConfig(loss=loss, seed=seed, **world.student)
        return train_student(x[second], labels, x[test], config) > 0.5

    ceiling = student(y[second], "plain") == y[test]
    weak, right, imitated = [], np.zeros((len(LOSSES), len(seen), len(test)), bool), np.zeros((len(LOSSES), len(seen)))
    for at, view in enumerate(seen):
        soft, said = _teacher(view[first], y[first], view[second], view[test])
        weak.append(said == y[test])
        for number, loss in enumerate(LOSSES):
            answer = student(soft, loss)
            right[number, at] = answer == y[test]
            imitated[number, at] = imitation(said.astype(float), answer.astype(float), y[test])
    return _Seed(np.stack(weak), right, ceiling, imitated)


def _teacher(inputs: Any, gold: np.ndarray, others: Any, test: Any) -> tuple[np.ndarray, np.ndarray]:
    """Soft labels of other rows, and answers to test rows."""
    from sklearn.linear_model import LogisticRegression

    teacher = LogisticRegression(C=10.0, max_iter=2000).fit(inputs, gold)
    return teacher.predict_proba(others)[:, 1], teacher.predict(test)


def sweep(world: World, seeds: Sequence[int]) -> dict[str, Any]:
    """Rows by loss and strength, and where the share peaks."""
    found = [one_seed(world, seed) for seed in seeds]
    weak = np.stack([one.weak.mean(axis=1) for one in found])
    students = np.stack([one.students.mean(axis=2) for one in found])
    ceiling = np.array([one.ceiling.mean() for one in found])
    drawn = np.random.default_rng(93).integers(len(found), size=(N_DRAWS, len(found)))
    gap = ceiling[drawn].mean(axis=1)[:, None] - weak[drawn].mean(axis=1)
    sure = np.quantile(gap, 0.025, axis=0) > 0
    rows, peaks = [], {}
    for number, loss in enumerate(LOSSES):
        with np.errstate(divide="ignore", invalid="ignore"):
            draws = (students[:, number][drawn].mean(axis=1) - weak[drawn].mean(axis=1)) / gap
        rows += [_row(world, found, (number, at), draws[:, at], bool(sure[at])) for at in range(len(world.strengths))]
        peaks[loss] = _peak(world, draws, sure)
    return {"world": world.name, "n_seeds": len(found), "rows": rows, "peaks": peaks}


def _row(world: World, found: list[_Seed], at: tuple[int, int], draws: np.ndarray, sure: bool) -> dict[str, Any]:
    number, strength = at
    of = performance_gap_recovered(
        np.concatenate([one.weak[strength] for one in found]),
        np.concatenate([one.students[number, strength] for one in found]),
        np.concatenate([one.ceiling for one in found]),
        np.random.default_rng(312),
    )
    low, high = (float(q) for q in np.quantile(draws, [0.025, 0.975])) if sure else (None, None)
    return {
        "world": world.name,
        "loss": LOSSES[number],
        "teacher sees": world.strengths[strength],
        "teacher": of.weak,
        "student": of.student,
        "ceiling": of.ceiling,
        "gap": of.ceiling - of.weak,
        "PGR": of.pgr if sure else None,
        "low": low,
        "high": high,
        "imitated errors": float(np.nanmean([one.imitated[number, strength] for one in found])),
    }


def _peak(world: World, draws: np.ndarray, sure: np.ndarray) -> dict[str, Any]:
    """Where the share is largest among strengths with a gap that is surely above 0, over draws of seeds."""
    at = np.argmax(np.where(sure, draws, -np.inf), axis=1)
    known = np.flatnonzero(sure)
    middle = draws[:, list(MIDDLE)].mean(axis=1)
    ends = {"weakest": int(known[0]), "strongest": int(known[-1])}
    return {
        "teacher sees": world.strengths[int(np.bincount(at).argmax())],
        "share of draws inside": float(((at > known[0]) & (at < known[-1])).mean()),
        **{
            f"middle less {name}": [float(q) for q in np.quantile(middle - draws[:, end], [0.025, 0.5, 0.975])]
            for name, end in ends.items()
        },
    }


def told(found: dict[str, Any]) -> None:
    """Print the table and where the share peaks."""
    print(f"weak to strong on {found['world']}, {found['n_seeds']} seeds")
    for row in found["rows"]:
        share = (
            "the gap may be 0" if row["PGR"] is None else f"{row['PGR']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
        )
        print(
            f"  {row['loss']:10} teacher of {row['teacher sees']:3}: {row['teacher']:.3f}, student {row['student']:.3f}, "
            f"ceiling {row['ceiling']:.3f}, PGR {share}, imitates {row['imitated errors']:.0%} of the errors"
        )
    for loss, peak in found["peaks"].items():
        inside = peak["share of draws inside"]
        low, mid, high = peak["middle less weakest"]
        low2, mid2, high2 = peak["middle less strongest"]
        # A peak inside is shown only if the middle is surely above both ends.
        verdict = "a peak inside" if min(low, low2) > 0 else "no peak inside is shown"
        print(
            f"  {loss:10} largest for a teacher of {peak['teacher sees']}; inside in {inside:.0%} of the draws; middle less "
            f"weakest {mid:+.2f} [{low:+.2f}, {high:+.2f}], less strongest {mid2:+.2f} [{low2:+.2f}, {high2:+.2f}]: {verdict}",
            flush=True,
        )
