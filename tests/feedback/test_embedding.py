"""Rewards by embeddings, against cosines computed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from feedback_tools import FakeTools, embed_words, graded

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.feedback.reward import rewards


def cosine(one: str, other: str) -> float:
    a, b = embed_words([one, other]).astype(np.float64)
    return float(a @ b)


def values(tmp_path, items, **settings: object) -> np.ndarray:
    return rewards.make(Use(use="embedding", **settings))(items, FakeTools(tmp_path))


def test_without_texts_it_is_the_cosine_to_the_question(tmp_path):
    items = [graded("the river"), graded("a zebra")]
    np.testing.assert_allclose(values(tmp_path, items), [1.0, cosine("the river", "a zebra")], atol=1e-6)


def test_towards_and_away_are_means_of_cosines(tmp_path):
    items = [graded("warm bread"), graded("cold stone")]
    settings = {"towards": ["warm", "kind warm"], "away": ["cold"]}
    expected = [
        (cosine("warm", i.response) + cosine("kind warm", i.response)) / 2 - cosine("cold", i.response) for i in items
    ]
    np.testing.assert_allclose(values(tmp_path, items, **settings), expected, atol=1e-6)
    np.testing.assert_allclose(
        values(tmp_path, items, away=["cold"]), [-cosine("cold", i.response) for i in items], atol=1e-6
    )


def test_a_reference_reply_may_be_missing(tmp_path):
    items = [graded("a b", reply="a b"), graded("x"), graded("y", reply=3), graded("z", reply=" ")]
    found = values(tmp_path, items, key="reply")
    assert found[0] == pytest.approx(1.0)
    assert np.isnan(found[1:]).all()
    assert np.isnan(values(tmp_path, items[1:], key="reply")).all()


def test_key_and_texts_exclude_each_other():
    with pytest.raises(ConfigError, match="both key and texts"):
        rewards.check(Use(use="embedding", key="reply", away=["x"]))
