"""Easy-to-hard supervision: an evaluator that learned on easy questions picks among answers to hard ones.

Source: Sun et al. 2024 (arXiv:2403.09472): people can judge answers to easy questions only, so a reward model learns from
those, and is used on hard ones for best-of-n, weighted voting or reinforcement learning. Here the evaluator is any reward,
such as `train_reward_model` on `right_over_wrong`; a saved one is `{use: reward_model}` in best-of-n and policy gradients.

Rules, for answers i of one question with final answer a_i and score s_i:
first     the first answer, which is what plain sampling gives
majority  the first answer with the most frequent a
best      the answer with the largest s: best of n
weighted  the best answer with the a of the largest sum of sigma(s_i) over a_i = a

What it must show: an evaluator that knows right from wrong on hard questions too lifts `best` and `weighted` above
`first` and `majority`; one that scores at random does not. The share of the gap to an evaluator that was trained on hard
questions is `weak_to_strong.performance_gap_recovered`. Left out: rewards of single steps of a solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from moorings.errors import ConfigError
from moorings.feedback.preferences import Preference
from moorings.feedback.reward import Graded

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["RULES", "Rule", "picked", "right_over_wrong"]

Rule = Literal["first", "majority", "best", "weighted"]
RULES: tuple[Rule, ...] = get_args(Rule)


def right_over_wrong(
    answers: Sequence[Sequence[Graded]],
    right: Sequence[Bool[np.ndarray, " k"]],
    rng: np.random.Generator,
    *,
    most: int = 4,
) -> list[Preference]:
    """Pairs of a right and a wrong answer to the same question, none twice.

    Args:
        answers: Of each question.
        right: Which are.
        rng: Draws the pairs.
        most: Pairs a question, at most, so that no question outweighs the others.

    Returns:
        Nothing from a question whose answers are all right or all wrong.
    """
    found = []
    for some, flags in zip(answers, right, strict=True):
        texts = {
            flag: sorted({some[at].response for at in np.flatnonzero(flags == flag).tolist()}) for flag in (True, False)
        }
        pairs = [(good, bad) for good in texts[True] for bad in texts[False]]
        for at in sorted(rng.permutation(len(pairs))[:most]):
            found.append(Preference(prompt=some[0].messages, chosen=pairs[at][0], rejected=pairs[at][1]))
    return found


def picked(finals: Sequence[Sequence[str]], scores: Float[np.ndarray, "n k"], rule: Rule) -> Int[np.ndarray, " n"]:
    """Which answer to each question a rule picks; ties go to the earlier one.

    Args:
        finals: What each answer comes to, such as its last number; an empty text is no answer, and is picked only where
            every one is empty.
        scores: Of an evaluator, more is better; NaN is picked last. Unused by `first` and `majority`.
        rule: See the module.

    Raises:
        ConfigError: An unknown rule, or scores that do not fit the answers.

    >>> finals, scores = [["7", "8", "8"]], np.array([[3.0, -2.0, -1.0]])
    >>> [int(picked(finals, scores, rule)[0]) for rule in RULES]
    [0, 1, 0, 0]
    """
    if rule not in RULES:
        raise ConfigError(f"rule '{rule}' is not known; allowed: {', '.join(RULES)}")
    if len(finals) != len(scores) or any(len(some) != scores.shape[1] for some in finals):
        raise ConfigError(
            f"scores of shape {scores.shape} do not fit {len(finals)} questions; give one score for each answer of each"
        )
    return np.array([_pick(some, row, rule) for some, row in zip(finals, scores, strict=True)], dtype=np.int64)


def _pick(finals: Sequence[str], scores: Float[np.ndarray, " k"], rule: Rule) -> int:
    if rule == "first":
        return 0
    said = np.array([bool(final) for final in finals])
    if not said.any():
        said[:] = True
    known = np.where(np.isnan(scores), -np.inf, scores)
    if rule != "best":
        weights = np.ones(len(finals)) if rule == "majority" else 0.5 * (1 + np.tanh(known / 2))
        sums = np.array([sum(w for w, other in zip(weights, finals, strict=True) if other == a) for a in finals])
        said &= sums >= sums[said].max() - 1e-12
    if rule == "majority":
        return int(np.argmax(said))
    places = np.flatnonzero(said)
    return int(places[np.argmax(known[places])])
