"""The optimum of E[R] - beta KL(pi || pi0) on a finite set of answers, without any optimiser.

pi* = pi0 exp(R / beta) / Z (Ziegler et al. 2019, arXiv:1909.08593; Rafailov et al. 2023, arXiv:2305.18290, eq. 4). At its own KL
no policy has a higher E[R], so over all beta these policies are the frontier that every optimiser is measured against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from moorings.errors import ConfigError
from moorings.improve.exact.policy import SoftmaxPolicy

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["tilted", "tilted_to_kl"]


def tilted(
    reward: Float[np.ndarray, "prompts answers"],
    beta: float,
    base: Float[np.ndarray, "prompts answers"] | None = None,
) -> SoftmaxPolicy:
    """The optimum for one reward.

    Args:
        reward: Of each answer.
        beta: Weight of the KL, > 0.
        base: ln pi0; uniform if None.
    """
    if beta <= 0:
        raise ConfigError(
            f"beta is {beta}; without a KL penalty the optimum is the best answer alone: give one above 0"
        )
    return SoftmaxPolicy(np.asarray(reward, dtype=np.float64) / beta, base=base)


def tilted_to_kl(
    reward: Float[np.ndarray, "prompts answers"],
    kl_nats: float,
    base: Float[np.ndarray, "prompts answers"] | None = None,
) -> SoftmaxPolicy:
    """The policy of the highest E[R] whose mean KL over prompts is `kl_nats`.

    Raises:
        ConfigError: No policy of this kind goes so far.
    """
    spread = float(np.std(reward)) or 1.0

    def miss(log_beta: float) -> float:
        return float(tilted(reward, float(np.exp(log_beta)), base).kl().mean()) - kl_nats

    low, high = np.log(spread * 1e-6), np.log(spread * 1e6)
    if not miss(high) < 0 < miss(low):
        raise ConfigError(
            f"a KL of {kl_nats} nats is asked for; this reward reaches from above 0 to {miss(low) + kl_nats:.4g}: stay between"
        )
    return tilted(reward, float(np.exp(brentq(miss, low, high, xtol=1e-12))), base)
