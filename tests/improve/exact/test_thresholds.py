"""Proxy points and the search for thresholds on a policy whose gold peaks at a known place."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.charter_run import Use
from moorings.errors import InputError
from moorings.improve.exact.optimise import Trace, optimise
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.exact.proxy_points import joint_proxy_point, single_proxy_point
from moorings.improve.exact.threshold_search import SearchSettings, search_thresholds
from moorings.improve.objectives.objective import objectives

N = 3000
_DRAWN = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.4], [0.4, 1]], size=N).T
REWARDS = {"clear": _DRAWN[:1], "kind": _DRAWN[1:]}
PEAK = {"clear": 0.8, "kind": 0.5}


def _gold(policy: SoftmaxPolicy) -> float:
    at = {name: policy.mean(values)[0] for name, values in REWARDS.items()}
    return float(1 - sum((at[name] - PEAK[name]) ** 2 for name in PEAK))


def _run(weights: dict[str, float], steps: int = 60) -> Trace:
    """A run whose gold is that of the policies' means, as `Trace` reads it off answers otherwise."""
    objective = objectives.make(Use(use="weighted", weights=weights))
    policy, points = SoftmaxPolicy.uniform(1, N), []
    trace = optimise(policy, REWARDS, objective, steps, 0.03, natural=True)
    for step in range(steps + 1):
        at = {name: trace.rewards[name][step] for name in REWARDS}
        points.append(1 - sum((at[name] - PEAK[name]) ** 2 for name in PEAK))
    return Trace(trace.rewards, np.array(points), trace.kl, trace.kl_weight, {}, {}, trace.policy)


def test_the_joint_point_is_found_and_is_not_that_of_single_rewards() -> None:
    traces = [_run({"clear": 1.0}), _run({"kind": 1.0}), _run({"clear": 0.7, "kind": 0.3}), _run({})]
    found = joint_proxy_point(traces, ["clear", "kind"])
    assert found.thresholds == pytest.approx(PEAK, abs=0.1)
    assert found.gold == pytest.approx(1, abs=0.02)
    assert found.residual < 1e-6
    alone = single_proxy_point(traces[1], "kind")
    assert abs(alone - PEAK["kind"]) > 0.1


def test_too_few_points_bear_no_surface() -> None:
    with pytest.raises(InputError, match=r"3 points, 3 of them with gold, do not bear a surface with 6 terms"):
        joint_proxy_point([_run({}, steps=2)], ["clear", "kind"])


def test_the_search_comes_close_to_the_peak_with_few_looks_at_gold() -> None:
    settings = SearchSettings(steps=600, spread=0.4)
    asked: list[float] = []

    def gold(policy: SoftmaxPolicy) -> float:
        asked.append(_gold(policy))
        return asked[-1]

    found = search_thresholds(SoftmaxPolicy.uniform(1, N), REWARDS, gold, settings)
    assert found.n_queries == len(asked) == len(found.tried)
    assert found.n_queries <= 40
    assert found.tried[-1].steps <= 600
    assert found.best.gold == max(asked) > 0.97
    assert _gold(found.policy) == found.best.gold
    assert found.best.reached == pytest.approx(PEAK, abs=0.2)
    again = search_thresholds(SoftmaxPolicy.uniform(1, N), REWARDS, _gold, settings)
    assert again.tried == found.tried
