from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.picture import draw_map
from moorings.compare.settings import Settings
from moorings.records import SampleStatus
from tests.compare.corpora import make_corpus, make_table


def test_points_are_at_most_as_many_as_asked_and_cut_short():
    corpus = make_corpus(40, 2)
    texts = ["<b>" + "long " * 400, *corpus.texts[1:]]
    points, names = draw_map(make_table(replace(corpus, texts=texts)), Settings(map_points=60))
    assert len(points) == 60
    assert max(len(p.text) for p in points) <= 280
    assert {p.cluster for p in points} <= set(range(len(names)))
    assert {p.arm for p in points} == {0, 1}
    assert all(abs(p.x) <= 1.0 and abs(p.y) <= 1.0 for p in points)


def test_like_texts_lie_together():
    corpus = make_corpus(60, 1)
    texts = [("river stone river " if i % 2 else "music letter music ") + t for i, t in enumerate(corpus.texts)]
    points, _ = draw_map(make_table(replace(corpus, texts=texts)), Settings())
    at = np.array([[p.x, p.y] for p in points])
    river = np.array([p.text.startswith("river") for p in points])
    gaps = np.linalg.norm(at[:, None] - at[None, :], axis=2) + 9 * np.eye(len(at))
    assert (river[gaps.argmin(1)] == river).mean() > 0.9


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("text", ["", "Same.", "🎉", "\ud800"])
def test_equal_texts_still_have_places(text):
    corpus = make_corpus(20, 1)
    points, _ = draw_map(make_table(replace(corpus, texts=[text] * 40)), Settings())
    assert len(points) == 40
    assert np.isfinite([[p.x, p.y] for p in points]).all()


def test_too_few_responses_give_no_map():
    corpus = make_corpus(20, 1)
    status = [SampleStatus.COMPLETED if i < 9 else SampleStatus.FAILED for i in range(40)]
    assert draw_map(make_table(replace(corpus, status=status)), Settings()) == ((), ())
    assert draw_map(make_table(corpus), Settings(map_points=0)) == ((), ())
