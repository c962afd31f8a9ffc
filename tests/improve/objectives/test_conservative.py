"""Fixed weights, worst case and uncertainty weighting."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.exact.optimise import optimise
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.objective import Batch, leave_one_out, objectives


def _batch(weighted: bool) -> Batch:
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(5), size=4) if weighted else None
    return Batch(rng.normal(size=(3, 4, 5)), ("a", "b", "c"), np.zeros((4, 5)), weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_advantages_are_those_of_the_joined_reward(weighted: bool) -> None:
    batch = _batch(weighted)
    members = batch.rewards
    expected = {
        "weighted": members.mean(axis=0),
        "worst_case": members.min(axis=0),
        "uncertainty": members.mean(axis=0) - 0.1 * members.var(axis=0),
    }
    for name, joined in expected.items():
        found = objectives.make(Use(use=name)).advantages(batch)
        np.testing.assert_allclose(found.values, leave_one_out(joined, batch.weights))


def test_weights_are_taken_by_name() -> None:
    batch = _batch(False)
    made = objectives.make(Use(use="weighted", weights={"c": 2.0, "a": -1.0})).advantages(batch)
    np.testing.assert_allclose(made.values, leave_one_out(2 * batch.rewards[2] - batch.rewards[0]))
    assert made.logged == {"weight:a": -1.0, "weight:b": 0.0, "weight:c": 2.0}


def test_members_are_taken_by_name_and_what_they_decide_is_logged() -> None:
    batch = _batch(True)
    made = objectives.make(Use(use="worst_case", members=["c", "a"])).advantages(batch)
    least = np.minimum(batch.rewards[2], batch.rewards[0])
    np.testing.assert_allclose(made.values, leave_one_out(least, batch.weights))
    assert made.logged["decides:a"] + made.logged["decides:c"] == pytest.approx(1)
    assert batch.weights is not None
    spread = np.abs(batch.rewards[2] - batch.rewards[0]) / 2
    assert made.logged["disagreement"] == pytest.approx((spread * batch.weights).sum() / 4)


@pytest.mark.parametrize(
    "use", [Use(use="weighted", weights={"d": 1.0}), Use(use="worst_case", members=["d"])], ids=["weighted", "members"]
)
def test_unknown_rewards_are_refused(use: Use) -> None:
    with pytest.raises(ConfigError, match=r"'d'.*allowed: a, b, c"):
        objectives.make(use).advantages(_batch(False))


def test_nothing_is_learned() -> None:
    for name in ("weighted", "worst_case", "uncertainty"):
        made = objectives.make(Use(use=name))
        made.update(_batch(False))
        made.restore(made.state())
        assert made.state() == {}


def test_conservative_objectives_keep_disagreement_down() -> None:
    """Members share a truth and err on their own, by answer: the mean of them is where it is wrong together least."""
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(40, 50))
    doubt = rng.gamma(1.0, 1.0, size=(40, 50))
    members = {f"m{k}": truth + doubt * rng.normal(size=(40, 50)) for k in range(5)}
    spread = np.std(list(members.values()), axis=0)
    start = SoftmaxPolicy.uniform(40, 50)

    def end(use: Use) -> tuple[float, float]:
        trace = optimise(
            start, members, objectives.make(use), 40, 0.1, natural=True, gold=truth, watched={"spread": spread}
        )
        return float(trace.gold[-1]), float(trace.watched["spread"][-1])

    mean, worst, sure = (end(Use(use=n)) for n in ("weighted", "worst_case", "uncertainty"))
    single = end(Use(use="weighted", weights={"m0": 1.0}))
    assert worst[1] < sure[1] < mean[1]
    assert min(worst[0], sure[0]) > mean[0] > single[0]
