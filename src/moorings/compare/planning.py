"""Before a run: what could a comparison of this size find, and how many prompts does an effect need?"""

from __future__ import annotations

from typing import Any, NamedTuple

from moorings.errors import ConfigError
from moorings.statistics.power import best_m, mde, n_prompts_needed

__all__ = ["Plan", "plan_comparison"]

_DISCOVERY_SHARE = 0.4


class Plan(NamedTuple):
    """What a comparison of a given size can find."""

    mde_discovered: float
    """Least change of a share that is found with the stated power if its hypothesis comes from discovery."""
    mde_registered: float
    """The same for the fixed battery, which is tested on the discovery prompts as well."""
    alpha: float
    """Level of a single test that the false discovery rate amounts to."""
    best_n_samples: int
    """Samples a prompt that find most for the same cost, if a prompt costs as much as a sample."""
    prompts_needed: int | None
    """Prompts in all that the wanted effect needs; None if none was named."""


def plan_comparison(
    *,
    n_prompts: int = 400,
    n_samples: int = 2,
    base_rate: float = 0.2,
    spread: float = 0.1,
    effect: float | None = None,
    n_hypotheses: int = 150,
    n_findings: int = 5,
    q: float = 0.1,
    power: float = 0.8,
    confirm_share: float = 0.4,
) -> Plan:
    """Size a comparison.

    Args:
        n_prompts: Prompts in all.
        n_samples: Samples a prompt and subject.
        base_rate: The precursor's rate of the behaviour.
        spread: Standard deviation of the effect between prompts.
        effect: Change to be found; sets `prompts_needed`.
        n_hypotheses: Hypotheses tested.
        n_findings: True changes expected; the more there are, the milder is a single test's level.
        q: False discovery rate.
        power: Chance of finding it.
        confirm_share: Share of the prompts that discovered hypotheses are tested on.

    Raises:
        ConfigError: A number is out of range.
    """
    if not 0 < confirm_share <= 1 - _DISCOVERY_SHARE + 1e-9:
        raise ConfigError(f"confirm share {confirm_share} leaves no prompts for discovery; use at most 0.6")
    if not 0 < q < 1:
        raise ConfigError(f"q {q} is not allowed; the false discovery rate lies between 0 and 1, such as 0.1")
    alpha = q * n_findings / max(n_hypotheses, n_findings)
    common: dict[str, Any] = {"base_rate": base_rate, "omega": spread, "alpha": alpha, "power": power, "m": n_samples}
    needed = None
    if effect is not None:
        needed = -(-n_prompts_needed(effect, **common) // confirm_share)
    return Plan(
        mde_discovered=mde(n_prompts=max(int(n_prompts * confirm_share), 1), **common),
        mde_registered=mde(n_prompts=max(int(n_prompts * (confirm_share + _DISCOVERY_SHARE)), 1), **common),
        alpha=alpha,
        best_n_samples=best_m(base_rate=base_rate, omega=max(spread, 1e-6), prompt_cost=1.0, sample_cost=1.0),
        prompts_needed=None if needed is None else int(needed),
    )
