import json

import numpy as np
import pytest
import torch

from moorings.compare.discovery.sparse_predicates import describe_latent
from moorings.compare.representations.ngrams import count_ngrams
from moorings.compare.representations.sparse import SparseCoder, fit_sparse
from moorings.errors import InputError


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of which each holds a few of 24 directions, and which ones."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((24, 64))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    active = rng.random((2000, 24)) < 0.08
    x = (active * rng.uniform(0.5, 1.5, active.shape)) @ directions + 0.03 * rng.standard_normal((2000, 64))
    return (x + 0.3).astype(np.float32), active


@pytest.fixture(scope="module")
def coder(planted: tuple[np.ndarray, np.ndarray]) -> SparseCoder:
    return fit_sparse(planted[0], n_latents=64, k=4, seed=0)


def test_planted_directions_become_latents(planted: tuple[np.ndarray, np.ndarray], coder: SparseCoder) -> None:
    x, active = planted
    codes = coder.encode(x)
    match = np.corrcoef(active.T.astype(float), (codes > 0).T.astype(float))[:24, 24:]
    assert (match.max(1) > 0.7).mean() > 0.8
    assert ((coder.decode(codes) - x) ** 2).sum() < 0.25 * ((x - x.mean(0)) ** 2).sum()


def test_codes_are_sparse_and_no_latent_is_dead(planted: tuple[np.ndarray, np.ndarray], coder: SparseCoder) -> None:
    codes = coder.encode(planted[0])
    assert (codes >= 0).all()
    assert (codes > 0).sum(1).max() <= 4
    assert (codes > 0).any(0).all()
    assert np.allclose(np.linalg.norm(coder.decoder, axis=1), 1, atol=1e-5)


def test_encode_agrees_with_the_formula(planted: tuple[np.ndarray, np.ndarray], coder: SparseCoder) -> None:
    row = planted[0][7]
    raw = coder.encoder.T @ ((row - coder.bias) / coder.scale) + coder.threshold
    kept = np.argsort(-raw)[:4]
    expected = np.zeros(len(raw))
    expected[kept] = np.maximum(raw[kept], 0)
    assert np.allclose(coder.encode(row[None])[0], expected, atol=1e-4)


def test_same_seed_same_code_whatever_the_global_state(planted: tuple[np.ndarray, np.ndarray]) -> None:
    x = planted[0][:300]
    torch.manual_seed(1)
    first = fit_sparse(x, n_latents=16, k=3, seed=5, n_steps=30)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = fit_sparse(x, n_latents=16, k=3, seed=5, n_steps=30)
    other = fit_sparse(x, n_latents=16, k=3, seed=6, n_steps=30)
    assert first.to_dict() == second.to_dict() != other.to_dict()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_survives_json(planted: tuple[np.ndarray, np.ndarray], coder: SparseCoder) -> None:
    again = SparseCoder.from_dict(json.loads(json.dumps(coder.to_dict())))
    assert np.array_equal(again.encode(planted[0]), coder.encode(planted[0]))


@pytest.mark.parametrize("damage", [{"bias": None}, {"encoder": [[1.0]]}, {"k": "x"}, {"scale": []}])
def test_damaged_code_is_named(coder: SparseCoder, damage: dict[str, object]) -> None:
    with pytest.raises(InputError, match="no sparse code"):
        SparseCoder.from_dict({**coder.to_dict(), **damage})


@pytest.mark.parametrize("n", [1, 5])
def test_few_or_equal_texts(n: int) -> None:
    coder = fit_sparse(np.ones((n, 6), dtype=np.float32), n_latents=8, k=2, n_steps=5)
    assert np.allclose(coder.decode(coder.encode(np.ones((2, 6)))), 1, atol=0.1)


def test_wrong_shapes_are_refused(coder: SparseCoder) -> None:
    with pytest.raises(ValueError, match="rows of 64 numbers"):
        coder.encode(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="k = 9"):
        fit_sparse(np.zeros((3, 5)), n_latents=8, k=9)


def test_a_latent_is_described_by_what_predicts_it() -> None:
    rng = np.random.default_rng(0)
    harbour = rng.random(400) < 0.2
    filler = rng.choice([f"w{i}" for i in range(50)], size=(400, 20))
    texts = [" ".join([*words, "harbour" if h else "desk"]) for words, h in zip(filler, harbour, strict=True)]
    table = count_ngrams(texts)
    label = describe_latent(np.where(harbour, rng.uniform(0.1, 3, 400), 0), table)
    assert label is not None
    assert label.phrases == ("harbour",)
    assert (label.min_hits, label.auc) == (1, 1.0)
    assert describe_latent(np.where(rng.random(400) < 0.3, 1.0, 0), table) is None
    assert describe_latent(np.eye(400)[0], table) is None
    assert describe_latent(np.ones(400), table) is None
