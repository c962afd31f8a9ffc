"""Wrong labels in preference data: putting them in, losses that bear them, and estimates of how many there are.

Putting in: labels are turned round once by a seed and stored with the data, so that members of an ensemble share them
(Coste et al. 2023, arXiv:2310.02743, flips 25 %).
Losses, for a margin m = r(chosen) - r(rejected) and l(m) = -ln sigma(m), with flip rate e < 1/2, all a l(m) + b l(-m):
`plain` (1, 0); `smoothed` (1 - e, e), which is label smoothing or conservative DPO; `unbiased`
((1 - e), -e) / (1 - 2 e), whose mean over flips is the clean loss (Chowdhury et al. 2024, arXiv:2403.00409; TRL's
`robust`). The unbiased loss has no lower bound, so large models can run away with it; watch the margins.
Estimates: from two labellings of the same pairs, which agree with probability (1 - e)^2 + e^2; or from held-out margins
by maximum likelihood under P(label agrees) = e + (1 - 2 e) sigma(s m), with s free. The second needs margins that are
large somewhere; pairs that are truly near ties count as s, not as e. The margins must come from pairs that the reward
was not trained on: a model that has learned the flips by heart finds none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from moorings.errors import ConfigError
from moorings.feedback.preferences import Preference

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "FlipRate",
    "LossWeights",
    "NoiseLoss",
    "flip_labels",
    "flip_rate_from_agreement",
    "flip_rate_from_margins",
    "loss_weights",
    "pair_loss",
]

NoiseLoss = Literal["plain", "smoothed", "unbiased"]


def flip_labels(preferences: Sequence[Preference], rate: float, rng: np.random.Generator) -> list[Preference]:
    """Preferences of which round(rate n) are turned round; `metadata["flipped"]` says which.

    A label that is turned round twice stands as it was.

    Raises:
        ConfigError: `rate` is not between 0 and 1.
    """
    if not 0 <= rate <= 1:
        raise ConfigError(f"flip rate is {rate}; allowed: 0 to 1")
    chosen = set(rng.permutation(len(preferences))[: round(rate * len(preferences))].tolist())
    return [_turned(one) if at in chosen else _marked(one, False) for at, one in enumerate(preferences)]


def _turned(one: Preference) -> Preference:
    return _marked(one.model_copy(update={"chosen": one.rejected, "rejected": one.chosen}), True)


def _marked(one: Preference, turned: bool) -> Preference:
    before = bool(one.metadata.get("flipped", False))
    return one.model_copy(update={"metadata": {**one.metadata, "flipped": before != turned}})


class LossWeights(NamedTuple):
    """The loss is `as_labelled` l(m) + `turned` l(-m)."""

    as_labelled: float
    turned: float


def loss_weights(kind: NoiseLoss, flip_rate: float) -> LossWeights:
    """Weights of both readings of a label.

    >>> loss_weights("unbiased", 0.25)
    LossWeights(as_labelled=1.5, turned=-0.5)

    Raises:
        ConfigError: The flip rate is not at least 0 and below 1/2, or there is one for the plain loss.
    """
    if not 0 <= flip_rate < 0.5:
        raise ConfigError(f"flip rate is {flip_rate}; allowed: from 0 to less than 0.5")
    if kind == "plain":
        if flip_rate:
            raise ConfigError(f"the plain loss takes no flip rate, {flip_rate} given; use smoothed or unbiased")
        return LossWeights(1.0, 0.0)
    scale = 1 - 2 * flip_rate if kind == "unbiased" else 1.0
    turned = -flip_rate if kind == "unbiased" else flip_rate
    return LossWeights((1 - flip_rate) / scale, turned / scale)


def pair_loss(
    margins: Float[np.ndarray, ...], kind: NoiseLoss = "plain", flip_rate: float = 0.0
) -> Float[np.ndarray, ...]:
    """Loss of each pair in nats; its training counterpart is in `moorings.feedback.reward_training`."""
    weights = loss_weights(kind, flip_rate)
    margins = np.asarray(margins, dtype=np.float64)
    return np.asarray(weights.as_labelled * np.logaddexp(0, -margins) + weights.turned * np.logaddexp(0, margins))


class FlipRate(NamedTuple):
    """An estimate."""

    rate: float
    standard_error: float
    """By the delta method or the observed information; NaN at the edge of what is allowed."""


def flip_rate_from_agreement(n_agree: int, n: int) -> FlipRate:
    """Flip rate of two labellings of the same pairs, if their flips are independent and equally many.

    >>> round(flip_rate_from_agreement(625, 1000).rate, 12)
    0.25

    Raises:
        ConfigError: No pairs, or more agreements than pairs.
    """
    if not 0 <= n_agree <= n or n == 0:
        raise ConfigError(f"{n_agree} of {n} labels agree; give at least one pair and no more agreements than pairs")
    share = n_agree / n
    if share <= 0.5:
        return FlipRate(0.5, math.nan)
    root = math.sqrt(2 * share - 1)
    return FlipRate((1 - root) / 2, math.sqrt(share * (1 - share) / n) / (2 * root))


def flip_rate_from_margins(margins: Float[np.ndarray, " n"]) -> FlipRate:
    """Flip rate from held-out margins r(labelled better) - r(labelled worse), by maximum likelihood.

    Raises:
        ConfigError: Fewer than ten margins, or one that is not finite.
    """
    margins = np.asarray(margins, dtype=np.float64)
    if margins.size < 10 or not np.isfinite(margins).all():
        raise ConfigError(f"{margins.size} margins given; give at least ten, all finite, of pairs held out of training")
    spread = float(np.abs(margins).mean()) or 1.0
    scaled = margins / spread
    # Several starts, as the likelihood of a mixture can have more than one peak.
    fits = [
        minimize(_nll_and_gradient, start, args=(scaled,), jac=True, bounds=[(0.0, 0.5), (-3.0, 6.0)])
        for start in ((0.05, 0.0), (0.3, 1.0), (0.2, 3.0))
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    rate, log_scale = float(best.x[0]), float(best.x[1])
    inside = 1e-6 < rate < 0.5 - 1e-6 and -3.0 < log_scale < 6.0
    return FlipRate(rate, _standard_error(rate, log_scale, scaled) if inside else math.nan)


def _nll_and_gradient(x: Float[np.ndarray, " 2"], margins: Float[np.ndarray, " n"]) -> tuple[float, np.ndarray]:
    rate, scale = float(x[0]), math.exp(float(x[1]))
    p = expit(scale * margins)
    agrees = np.clip(rate + (1 - 2 * rate) * p, 1e-300, None)
    by_scale = (1 - 2 * rate) * p * (1 - p) * scale * margins
    gradient = [-float(np.mean((1 - 2 * p) / agrees)), -float(np.mean(by_scale / agrees))]
    return -float(np.mean(np.log(agrees))), np.array(gradient)


def _standard_error(rate: float, log_scale: float, margins: Float[np.ndarray, " n"]) -> float:
    """From the expected information: sum of J J' / (p (1 - p))."""
    p = expit(math.exp(log_scale) * margins)
    agrees = rate + (1 - 2 * rate) * p
    jacobian = np.stack([1 - 2 * p, (1 - 2 * rate) * p * (1 - p) * math.exp(log_scale) * margins])
    information = (jacobian / (agrees * (1 - agrees))) @ jacobian.T
    determinant = float(np.linalg.det(information))
    return math.sqrt(float(information[1, 1]) / determinant) if determinant > 0 else math.nan
