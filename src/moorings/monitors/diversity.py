"""Loss of diversity: the answers to one prompt become like one another.

Each prompt is answered several times by each subject; its diversity in [0, 1] is one of
- vendi: (exp(-sum_i l_i ln l_i) - 1) / (n - 1), l_i the eigenvalues of the Gram matrix of unit embeddings over n. The
  exponential is the Vendi score of Friedman and Dieng 2023 (arXiv:2210.02410, definition 3.1), from 1 to n; the
  rescaling to [0, 1] is ours;
- distinct: different n-grams over all n-grams (Li et al. 2016, arXiv:1510.03055);
- self_similarity: 1 - mean cosine between the answers, at most 1 (in the place of Self-BLEU of Zhu et al. 2018,
  arXiv:1802.01886);
- entropy: Shannon entropy of the n-grams over the logarithm of their number.
n-grams are taken from the first `words` words, because all their measures fall with length.
d = diversity(anchor) - diversity(candidate). Left out: diversity across prompts, which `style_collapse` watches.
It must show: 0 without a change; the anchor's whole diversity for a candidate that always says the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from moorings.monitors.asking import MISSING, ask_both, collect, mean, user_prompt
from moorings.monitors.monitor import Differences, Gathering, Monitor, MonitorConfig, Side, monitors
from moorings.monitors.questions.fresh import UNITS
from moorings.monitors.questions.open_ended import make_open_prompt, open_space
from moorings.records import Decoding, Interaction

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["AnswerDiversity", "DiversityConfig", "distinct_share", "entropy_share", "self_dissimilarity", "vendi_score"]

_NOTHING = "(no words)"
"""Stands for an answer without a visible character, which an embedder may not take."""


class DiversityConfig(MonitorConfig):
    """Settings of monitor `answer_diversity`."""

    measure: Literal["vendi", "distinct", "self_similarity", "entropy"] = "vendi"
    """What the evidence is about; the others are given as details."""
    n_samples: int = Field(default=4, ge=4, le=64)
    """Answers a prompt and subject."""
    ngram: int = Field(default=2, ge=1, le=5)
    """Words of an n-gram, for `distinct` and `entropy`; distinct-2 of Li et al."""
    words: int = Field(default=32, ge=8)
    """Words of each answer that n-grams are taken from."""
    max_new_tokens: int = Field(default=48, ge=1)
    """Most tokens of an answer."""
    temperature: float = Field(default=1.0, gt=0)
    """Softmax temperature of answers; at 0 all answers would be the same."""


class AnswerDiversity:
    """See the module."""

    side: Side = "more"
    n_units: int | None = UNITS

    def __init__(self, config: DiversityConfig) -> None:
        self.config = config
        self.statement = f"The candidate's answers to one prompt vary less than the anchor's ({config.measure})."

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        config = self.config
        drawn = open_space().draw(range(gathering.start, gathering.start + gathering.n), gathering.rng)
        prompts = [user_prompt(one.unit, make_open_prompt(one)) for one in drawn]
        decoding = Decoding(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
        answers = ask_both(gathering, prompts, "open", decoding, config.n_samples)
        levels = [self._levels(side, gathering.embed) for side in answers]
        anchor, candidate = (side[config.measure] for side in levels)
        details = {
            f"{who}_{name}": mean(values)
            for who, side in zip(("anchor", "candidate"), levels, strict=True)
            for name, values in side.items()
        }
        return collect(
            [one.unit for one in drawn],
            anchor - candidate,
            anchor,
            candidate,
            lambda a, c, n: (
                f"Diversity ({config.measure}) of {config.n_samples} answers each to {n} prompts: {a:.3f} for the anchor, "
                f"{c:.3f} for the candidate, on a scale from 0 (all alike) to 1."
            ),
            details,
        )

    def _levels(
        self, answers: Sequence[Sequence[Interaction]], embed: Callable[[Sequence[str]], Float[np.ndarray, "m d"]]
    ) -> dict[str, Float[np.ndarray, " n"]]:
        """Each measure of each prompt; NaN where an answer is missing."""
        config = self.config
        names = ("vendi", "distinct", "self_similarity", "entropy")
        levels = {name: np.full(len(answers), np.nan) for name in names}
        whole = [i for i, rows in enumerate(answers) if not any(row.status in MISSING for row in rows)]
        texts = [[row.response if row.response.strip() else _NOTHING for row in answers[i]] for i in whole]
        if not texts:
            return levels
        vectors = np.asarray(embed([text for some in texts for text in some]), dtype=np.float64)
        vectors = vectors.reshape(len(texts), config.n_samples, -1)
        for i, some, rows in zip(whole, texts, vectors, strict=True):
            levels["vendi"][i] = (vendi_score(rows) - 1) / (config.n_samples - 1)
            levels["self_similarity"][i] = self_dissimilarity(rows)
            grams = _ngrams(some, config.ngram, config.words)
            levels["distinct"][i] = distinct_share(grams)
            levels["entropy"][i] = entropy_share(grams)
        return levels


def vendi_score(rows: Float[np.ndarray, "n d"]) -> float:
    """Effective number of different rows, from 1 to n. Rows need not be of unit length; those of length 0 count as alike.

    >>> round(vendi_score(np.eye(3)), 6), round(vendi_score(np.ones((3, 2))), 6)
    (3.0, 1.0)

    Source: Friedman and Dieng 2023 (arXiv:2210.02410), definition 3.1, with the cosine kernel.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    zero = (lengths == 0).astype(np.float64)
    unit = np.hstack([rows / np.where(lengths == 0, 1.0, lengths), zero])
    shares = np.clip(np.linalg.eigvalsh(unit @ unit.T / len(unit)), 0.0, 1.0)
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def self_dissimilarity(rows: Float[np.ndarray, "n d"]) -> float:
    """1 - mean cosine between different rows, kept within [0, 1].

    >>> self_dissimilarity(np.eye(2)), self_dissimilarity(np.ones((2, 2)) / 2**0.5)
    (1.0, 0.0)
    """
    n = len(rows)
    cosines = np.round(rows @ rows.T, 12)
    return float(np.clip(1 - (cosines.sum() - np.trace(cosines)) / (n * (n - 1)), 0.0, 1.0))


def distinct_share(grams: Sequence[object]) -> float:
    """Different n-grams over all; 0 where there are none, because nothing varies.

    >>> distinct_share(["a", "b", "a", "a"])
    0.5
    """
    return len(set(grams)) / len(grams) if grams else 0.0


def entropy_share(grams: Sequence[object]) -> float:
    """Shannon entropy over its largest value, the logarithm of the number of n-grams; 0 where there is at most one.

    >>> entropy_share(["a", "b", "c"]), entropy_share(["a", "a"])
    (1.0, 0.0)
    """
    if len(grams) < 2:
        return 0.0
    counts = np.array(list(Counter(grams).values()), dtype=np.float64)
    shares = counts / counts.sum()
    return float(np.clip(-np.sum(shares * np.log(shares)) / np.log(len(grams)), 0.0, 1.0))


def _ngrams(texts: Sequence[str], n: int, words: int) -> list[tuple[str, ...]]:
    found = []
    for text in texts:
        said = text.lower().split()[:words]
        found += [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
    return found


@monitors.register("answer_diversity", DiversityConfig)
def make_diversity(config: DiversityConfig) -> Monitor:
    """Build the monitor."""
    return AnswerDiversity(config)
