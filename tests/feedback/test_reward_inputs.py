"""What heads are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from feedback_tools import D, FakeTools, embed_words, graded
from sklearn.feature_extraction.text import HashingVectorizer

from moorings.errors import ConfigError, InputError
from moorings.feedback.reward_inputs import InputEncoder, RewardInput, projection_matrix
from moorings.subjects.scripted import ScriptedSubject
from moorings.subjects.spec import SubjectSpec

ITEMS = [graded("warm bread"), graded("cold stone"), graded("warm bread")]
SPEC = SubjectSpec(uri="scripted:any")


class ReadSubject(ScriptedSubject):
    """A subject whose states are the letters' codes; long texts cannot be read."""

    def __init__(self) -> None:
        super().__init__({})
        self.n_closed = 0

    def hidden_states(self, texts: Sequence[str], *, layer: int = -1) -> list[np.ndarray]:
        if any(len(text) > 40 for text in texts):
            raise InputError("longer than the context")
        return [np.array([[ord(letter), layer] for letter in text], dtype=np.float32) for text in texts]

    def close(self) -> None:
        self.n_closed += 1


def rows(tmp_path, items=ITEMS, opened=None, **settings) -> np.ndarray:
    return InputEncoder(RewardInput(**settings), opened).rows(items, FakeTools(tmp_path))


def test_embeddings_stand_beside_the_question_and_the_product(tmp_path):
    answer, question = embed_words(["warm bread", "the river"]).astype(np.float64)
    np.testing.assert_allclose(rows(tmp_path, question=False)[0], answer)
    np.testing.assert_allclose(rows(tmp_path)[0], [*answer, *question, *(answer * question * np.sqrt(D))], rtol=1e-6)


def test_equal_items_are_encoded_once_and_equal(tmp_path):
    tools = FakeTools(tmp_path)
    found = InputEncoder(RewardInput()).rows(ITEMS, tools)
    assert tools.n_embedded == 4
    np.testing.assert_array_equal(found[0], found[2])


def test_words_are_hashed(tmp_path):
    counted = HashingVectorizer(n_features=16).transform(["warm bread", "the river"]).toarray()
    np.testing.assert_array_equal(rows(tmp_path, kind="words", d=16)[0], [*counted[1], *counted[0]])
    np.testing.assert_array_equal(rows(tmp_path, kind="words", d=16, question=False)[0], counted[0])
    assert rows(tmp_path, [graded("\ud800 a")], kind="words", d=16).shape == (1, 32)


def test_a_projection_is_fixed_by_its_seed_and_keeps_lengths_on_average(tmp_path):
    one, same, other = (rows(tmp_path, kind="projection", d=8, seed=seed, question=False) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == (3, 8)
    assert not np.allclose(one, other)
    unit = np.eye(50)[0]
    lengths = [((unit @ projection_matrix(50, 10, np.random.default_rng(seed))) ** 2).sum() for seed in range(2000)]
    # A chi-square of 10 over 10: standard error of 2000 draws is 0.01.
    assert np.mean(lengths) == pytest.approx(1, abs=0.035)


def test_hidden_states_are_pooled_and_what_cannot_be_read_is_missing(tmp_path):
    items = [graded("ab", "q"), graded("x" * 50, "q"), graded("abc", "q")]
    subject = ReadSubject()
    found = rows(tmp_path, items, subject, kind="hidden", subject=SPEC, layer=3)
    np.testing.assert_array_equal(found[[0, 2]], [[ord("b"), 3], [ord("c"), 3]])
    assert np.isnan(found[1]).all()
    mean = rows(tmp_path, items, subject, kind="hidden", subject=SPEC, pooling="mean", question=False)
    np.testing.assert_allclose(mean[2], [ord("b"), -1])
    assert np.isnan(rows(tmp_path, items[1:2], subject, kind="hidden", subject=SPEC)).all()


def test_a_subject_is_closed_by_whom_it_was_opened(tmp_path, monkeypatch):
    given = ReadSubject()
    encoder = InputEncoder(RewardInput(kind="hidden", subject=SPEC), given)
    encoder.rows(ITEMS, FakeTools(tmp_path))
    encoder.close()
    assert given.n_closed == 0
    opened: list[ReadSubject] = []
    monkeypatch.setattr(
        "moorings.feedback.reward_inputs.open_subject", lambda spec: opened.append(ReadSubject()) or opened[-1]
    )
    encoder = InputEncoder(RewardInput(kind="hidden", subject=SPEC))
    for _ in range(2):
        encoder.rows(ITEMS, FakeTools(tmp_path))
    encoder.close()
    encoder.close()
    assert [one.n_closed for one in opened] == [1]


def test_a_subject_without_states_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="shows no hidden states"):
        rows(tmp_path, ITEMS, ScriptedSubject({}), kind="hidden", subject=SPEC)


@pytest.mark.parametrize("settings", [{"kind": "hidden"}, {"kind": "words", "subject": SPEC}])
def test_a_subject_is_for_hidden_states(settings):
    with pytest.raises(ConfigError, match="give one for hidden and for nothing else"):
        RewardInput(**settings)
