"""Answers with two rewards and a gold that no method looks at: made ones, whose gold peaks inside, and real ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from moorings.improve.exact.policy import SoftmaxPolicy

ANSWERS = Path(__file__).parent / "data" / "answers.parquet"


class World(NamedTuple):
    """A start policy over answers, and what can be measured of each."""

    name: str
    policy: SoftmaxPolicy
    rewards: dict[str, np.ndarray]
    """Standardised under the start policy: mean 0, standard deviation 1."""
    gold: np.ndarray
    """Standardised likewise."""
    watched: dict[str, np.ndarray]


def made_world(seed: int, n_prompts: int = 8, n_answers: int = 300, d: int = 8) -> World:
    """Answers are points; both rewards grow along directions at 60 degrees, gold falls off on either side of a place on each."""
    rng = np.random.default_rng([11, seed])
    features = rng.normal(size=(n_prompts, n_answers, d))
    one, other = np.eye(d)[0], 0.5 * np.eye(d)[0] + np.sqrt(0.75) * np.eye(d)[1]
    noise = 0.3 * rng.normal(size=(2, n_prompts, n_answers))
    rewards = {"clear": standard(features @ one + noise[0]), "kind": standard(features @ other + noise[1])}
    places = 0.9 + 0.3 * rng.random(2)
    true = np.stack([features @ one, features @ other])
    gold = -((true[0] - places[0]) ** 2) - (true[1] - places[1]) ** 2 + 0.5 * rng.normal(size=(n_prompts, n_answers))
    return World("made", SoftmaxPolicy.uniform(n_prompts, n_answers, features), rewards, standard(gold), {})


def real_world(seed: int, n_prompts: int = 30, d: int = 48) -> World:
    """Stored answers of the embedded model: closeness to a reference reply and sentiment; gold of other kinds altogether.

    Gold is the mean of three parts, each standardised: chrF to the reference, share of distinct word trigrams, and length.
    A seed takes half of the prompts. The policy tilts by the leading directions of the answers' embeddings, within each
    prompt, and by length, so that what it learns on one prompt holds on all.
    """
    from moorings.feedback.stored_answers import read_answers

    stored = read_answers(ANSWERS)
    chosen = np.random.default_rng([12, seed]).permutation(len(stored.prompts))[:n_prompts]
    texts = [stored.responses[at] for at in chosen]
    references = [str(stored.prompts[at].metadata["reference"]) for at in chosen]
    shape = len(texts), len(texts[0])
    flat = [text for row in texts for text in row]
    vectors = embedded(flat + references)
    answers, wanted = vectors[: len(flat)].reshape(*shape, -1), vectors[len(flat) :]
    words = np.array([len(text.split()) for text in flat], dtype=float).reshape(shape)
    parts = (
        np.array([chrf(text, references[at]) for at, row in enumerate(texts) for text in row]).reshape(shape),
        np.array([distinct(text, 3) for text in flat]).reshape(shape),
        words,
    )
    return World(
        "real",
        SoftmaxPolicy.uniform(*shape, tilts(answers, d, words)),
        {
            "close": standard((answers * wanted[:, None]).sum(axis=-1)),
            "sentiment": standard(sentiment(flat).reshape(shape)),
        },
        standard(np.mean([standard(part) for part in parts], axis=0)),
        {"words": words},
    )


def standard(values: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 over all answers."""
    return (values - values.mean()) / values.std()


def distinct(text: str, n: int) -> float:
    """Share of distinct word n-grams; 0 where there is none."""
    words = text.casefold().split()
    grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def chrf(text: str, reference: str, order: int = 6, beta: float = 2.0) -> float:
    """Character n-gram F-score (Popovic 2015), spaces left out, averaged over orders that both texts have.

    >>> chrf("a cat", "a cat"), chrf("xyz", "a cat")
    (1.0, 0.0)
    """
    one, other = "".join(text.split()), "".join(reference.split())
    scores = []
    for n in range(1, order + 1):
        a, b = (Counter(s[at : at + n] for at in range(len(s) - n + 1)) for s in (one, other))
        if not a or not b:
            continue
        common = sum((a & b).values())
        precision, recall = common / a.total(), common / b.total()
        total = beta**2 * precision + recall
        scores.append((1 + beta**2) * precision * recall / total if total else 0.0)
    return float(np.mean(scores)) if scores else 0.0


def embedded(texts: list[str]) -> np.ndarray:
    """Unit vectors of texts."""
    from moorings.subjects.embedders import open_embedder

    return np.asarray(open_embedder().embed_texts(texts), dtype=float)


def sentiment(texts: list[str]) -> np.ndarray:
    """Sentiment of each text; 0 where it has none."""
    from moorings.compare.battery import Text, features

    mood = features.get("sentiment")
    return np.nan_to_num(np.array([mood(Text(text, "")) for text in texts]))


def tilts(answers: np.ndarray, d: int, *more: np.ndarray) -> np.ndarray:
    """Directions along which a policy may tilt: the d leading ones of embeddings within each prompt, and further measures."""
    centred = answers - answers.mean(axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(centred.reshape(-1, centred.shape[-1]), full_matrices=False)
    within = [(values - values.mean(axis=1, keepdims=True))[..., None] for values in more]
    tilt = np.concatenate([centred @ axes[:d].T, *within], axis=-1)
    return np.asarray(tilt / np.sqrt((tilt**2).mean(axis=(0, 1))))
