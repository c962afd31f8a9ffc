"""Does a finding's statement say what its numbers measure? Checks L1 to L10.

Checks of labels that were written for something else (a cluster, a latent) look only at what the label was written for, never at
which response is whose, so they may use held-out prompts before the hypothesis is tested; L1, L2 and L4 decide whether it is tested
at all. The others describe confirmed findings. A check that cannot be made without a judge says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moorings.compare.confirm import Tested, differences
from moorings.compare.corpus import Corpus
from moorings.compare.merge import explained_share, within_arms
from moorings.compare.predicate import Hypothesis, PhrasePredicate, Table
from moorings.compare.split import Split
from moorings.records import Check

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["finding_checks", "is_style", "label_checks", "passes"]

_MARKS = ".,;:!?\"'()*_"
_NEAR_SHARE = 0.25
"""Share of near misses among the texts that are no members."""


def passes(checks: tuple[Check, ...]) -> bool:
    """Whether no check failed; one that could not be made does not count."""
    return all(check.passed is not False for check in checks)


def label_checks(
    hypothesis: Hypothesis,
    values: Float[np.ndarray, " n"],
    table: Table,
    rows: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
) -> tuple[Check, ...]:
    """L1 membership, L2 coverage and L4 near misses of a label, on texts that it was not written from.

    Args:
        hypothesis: One whose words were written for `target`; others define themselves and pass without a check.
        values: The label's own value on every response.
        table: All responses.
        rows: Held-out responses.
        rng: Chooses the texts that are no members.
    """
    if hypothesis.target is None:
        return ()
    known = rows & np.isfinite(values)
    member = known & (hypothesis.target > 0)
    others = known & ~member
    if member.sum() < 5 or others.sum() < 5:
        return (Check(name="L1 membership", value=None, bar=">= 0.80", passed=False, note="too few held-out members"),)
    near = _near_misses(table.embeddings, member, others, int(member.sum()))
    n_far = min(int(others.sum()), round(len(near) * (1 - _NEAR_SHARE) / _NEAR_SHARE))
    far = rng.choice(np.flatnonzero(others), size=n_far, replace=False)
    negatives = np.concatenate([near, far])
    auc, low = _auc(values[member], values[negatives])
    recall = float((values[member] > 0).mean())
    false_positive = float((values[near] > 0).mean())
    return (
        Check(
            name="L1 membership",
            value=auc,
            bar=">= 0.80, lower bound >= 0.70",
            passed=auc >= 0.8 and low >= 0.7,
            note=f"lower 95 % bound {low:.2f}",
        ),
        Check(name="L2 coverage", value=recall, bar=">= 0.60", passed=recall >= 0.6),
        Check(name="L4 near miss", value=false_positive, bar="<= 0.15", passed=false_positive <= 0.15),
    )


def finding_checks(
    tested: Tested, corpus: Corpus, split: Split, log_words: Float[np.ndarray, " n"], rng: np.random.Generator
) -> tuple[Check, ...]:
    """Checks of a confirmed finding: L3 negation, L7 nuisance, L8 placebo and L9 transfer."""
    prompts = split.confirm | (split.discover if tested.hypothesis.registered else False)
    rows = prompts[corpus.prompt] & np.isfinite(tested.values)
    checks = [
        _negation(tested, corpus, rows),
        _length(tested, corpus, rows, log_words),
        _placebo(tested.values[rows], corpus.arm[rows], corpus.prompt[rows], rng),
        _transfer(tested, corpus, prompts),
    ]
    return tuple(check for check in checks if check is not None)


def is_style(checks: tuple[Check, ...]) -> bool:
    """Whether the effect rests on length: such a finding is typed as style."""
    return any(check.name == "L7 nuisance" and check.passed is False for check in checks)


def _near_misses(x: Float[np.ndarray, "n d"], member: np.ndarray, others: np.ndarray, n: int) -> np.ndarray:
    """Texts that are no members and most like them."""
    candidates = np.flatnonzero(others)
    likeness = x[candidates] @ x[member].mean(0)
    return candidates[np.argsort(-likeness, kind="stable")[: max(5, min(n, len(candidates) // 4))]]


def _auc(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve and its lower 95 % bound (Hanley and McNeil 1982)."""
    from scipy.stats import rankdata

    n, m = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    auc = float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n - 1) * (q1 - auc**2) + (m - 1) * (q2 - auc**2)) / (n * m)
    return auc, auc - 1.96 * float(np.sqrt(max(variance, 0.0)))


def _negation(tested: Tested, corpus: Corpus, rows: np.ndarray) -> Check | None:
    """Share of matches that are not negated just before; only phrases can be negated."""
    predicate = tested.hypothesis.predicate
    if not isinstance(predicate, PhrasePredicate):
        return None
    n_matches = n_negated = 0
    for row in np.flatnonzero(rows & (tested.values > 0))[:500]:
        words = corpus.texts[row][:20_000].lower().replace("\u2019", "'").split()
        plain = [word.strip(_MARKS) for word in words]
        for phrase in predicate.phrases:
            parts = [part for part in phrase.lower().split() if part.strip(_MARKS + "^$")]
            for at in (i for i in range(len(plain)) if parts and plain[i : i + len(parts)] == parts):
                n_matches += 1
                n_negated += any(_is_negation(word) for word in words[max(0, at - 3) : at])
    if not n_matches:
        return None
    share = 1 - n_negated / n_matches
    return Check(
        name="L3 polarity",
        value=share,
        bar=">= 0.95",
        passed=share >= 0.95,
        note="share of mentions that are not negated",
    )


def _is_negation(word: str) -> bool:
    plain = word.strip(_MARKS)
    return plain in {"no", "not", "never", "without", "hardly", "neither", "nor", "cannot"} or plain.endswith("n't")


def _length(tested: Tested, corpus: Corpus, rows: np.ndarray, log_words: np.ndarray) -> Check:
    """Share of the effect that is left once response length is accounted for."""
    arm, prompt = corpus.arm[rows], corpus.prompt[rows]
    y, z = tested.values[rows].astype(np.float64), log_words[rows].astype(np.float64)
    gap_y, gap_z = (float(v[arm == 1].mean() - v[arm == 0].mean()) for v in (y, z))
    deviations = [within_arms(v, arm, prompt, len(corpus.prompts)) for v in (y, z)]
    left = 1 - explained_share(deviations[0], deviations[1], gap_y, gap_z)
    return Check(
        name="L7 nuisance",
        value=left,
        bar=">= 0.70",
        passed=left >= 0.7,
        note="share of the effect left at equal response length",
    )


def _placebo(values: np.ndarray, arm: np.ndarray, prompt: np.ndarray, rng: np.random.Generator) -> Check:
    """Area under the ROC curve when responses' sides are shuffled within prompts."""
    found = []
    for _ in range(20):
        order = np.lexsort((rng.random(len(arm)), prompt))
        shuffled = np.empty_like(arm)
        shuffled[np.argsort(prompt, kind="stable")] = arm[order]
        found.append(_auc(values[shuffled == 1], values[shuffled == 0])[0])
    mean = float(np.mean(found))
    return Check(name="L8 placebo", value=mean, bar="0.50 +- 0.05", passed=abs(mean - 0.5) <= 0.05)


def _transfer(tested: Tested, corpus: Corpus, prompts: np.ndarray) -> Check | None:
    """Share of prompt groups with a difference in which it has the finding's sign."""
    if len({group for group in corpus.groups if group is not None}) < 2:
        return None
    d = differences(tested.values[:, None], corpus, prompts)[:, 0]
    names = np.array([str(group) for group in corpus.groups])
    means = [float(d[(names == name) & np.isfinite(d)].sum()) for name in sorted(set(names))]
    signs = [np.sign(mean) for mean in means if abs(mean) > 1e-12]
    if not signs:
        return None
    share = float(np.mean(np.array(signs) == np.sign(tested.effect.estimate)))
    return Check(
        name="L9 transfer", value=share, bar=">= 0.80", passed=share >= 0.8, note=f"{len(signs)} prompt groups"
    )
