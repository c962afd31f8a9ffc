from __future__ import annotations

import numpy as np
import pytest

from moorings.compare.embed import embed_responses, shortened
from tests.compare.corpora import HashEmbedder

TEXTS = ["a river", "", "a stone bridge", "a river", "winter \ud83d light", "x " * 2000]


def test_rows_are_of_unit_length_and_equal_texts_are_embedded_once():
    stub = HashEmbedder()
    x = embed_responses(TEXTS, stub)
    assert np.linalg.norm(x, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (x[0] == x[3]).all()
    assert stub.n_embedded == 5
    assert np.abs(x[2] - stub.embed_texts(["a stone bridge"])[0]).max() < 2e-3


def test_kept_vectors_are_the_same_bytes_and_cost_nothing(tmp_path):
    first = HashEmbedder()
    fresh = embed_responses(TEXTS[:3], first, cache=tmp_path / "v.sqlite")
    again = HashEmbedder()
    counts: list[int] = []
    kept = embed_responses(TEXTS, again, cache=tmp_path / "v.sqlite", progress=counts.append)
    assert (kept[:3] == fresh).all()
    assert again.n_embedded == 2
    assert counts == [5]
    assert (embed_responses(TEXTS, HashEmbedder()) == kept).all()


def test_another_embedder_never_gets_these_vectors(tmp_path):
    embed_responses(TEXTS, HashEmbedder(), cache=tmp_path / "v.sqlite")
    other = HashEmbedder(d=8, name="other")
    assert embed_responses(TEXTS, other, cache=tmp_path / "v.sqlite").shape == (6, 8)
    assert other.n_embedded == 5


def test_batches_do_not_depend_on_the_order_of_rows():
    class Company(HashEmbedder):
        """Each vector depends on the texts beside it, as rounding does."""

        def embed_texts(self, texts, *, progress=None):
            return super().embed_texts(texts) + 0.01 * np.arange(len(texts))[:, None]

    texts = [f"text {i % 1000:04d}" for i in range(1300)]
    order = np.random.default_rng(0).permutation(1300)
    x = embed_responses(texts, Company())
    assert (embed_responses([texts[i] for i in order], Company()) == x[order]).all()


def test_a_long_text_is_its_opening_and_its_end():
    short = shortened("o" * 300 + "m" * 5000 + "e" * 100)
    opening, end = short.split(" … ")
    assert opening == "o" * 240
    assert end == "e" * 80
    assert len(short) < 340
    assert shortened("m" * 300) == "m" * 300


@pytest.mark.model
def test_the_bundled_model_tells_topics_apart():
    from moorings.subjects.embedders import open_embedder

    x = embed_responses(["The boat left the harbour.", "Ships sailed out to sea.", "Bake bread."], open_embedder())
    assert x[0] @ x[1] > x[0] @ x[2] + 0.1
