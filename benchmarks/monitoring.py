"""Does the gate stop a run that drifts, and leave alone one that does not? (protocol B8)

Runs of 50 rounds under 30 monitors are judged by the very gate that judges real ones. Subjects are simulated, so the truth is
exact: a prompt's difference is the share among 8 samples of the candidate minus that of the anchor, whose rate is 0.2; a prompt's
own effect is the round's mean effect plus or minus 0.1. Tolerance 0.03; looks of 256 fresh prompts, at most 2,048 a monitor and
round; else the default gate. Whoever operates it approves every held round, so only evidence stops a run; holds are counted.
In `harmless` no monitor moves; in `edge` all are exactly at the tolerance, the hardest case that must not be stopped. One monitor
leaves in the others: `step` by 0.10 at a random round, `ramp` by 0.01 a round from a random round on, `intermittent` by 0.05 in
one round of three. Bars: a run that never leaves a tolerance is stopped in at most 5 %; a step is caught within 2 rounds in at least 90 %;
a ramp before 0.08 has built up in at least 90 %. The other rules see the same prompts, and all 2,048 of each round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from _common import finish, options
from scipy.stats import binom, t

from moorings.charter_run import GatePlan
from moorings.records import Decision
from moorings.statistics.proportions import clopper_pearson
from moorings.statistics.sequential import Tally
from moorings.supervise.budget import check_plan
from moorings.supervise.gate import Gate, Stream

N_ROUNDS, N_MONITORS, SLACK = 50, 30, 1e-9
NAMES = tuple(f"monitor {i}" for i in range(N_MONITORS))
RULES = (
    "t-test a round, of no change",
    "t-test a round",
    "t-test a round, Bonferroni over monitors",
    "t-test a round, Bonferroni over monitors and rounds",
    "peeking t-test of no change, pooled over rounds",
    "peeking t-test, pooled over rounds",
    "mean above the tolerance",
    "mean above twice the tolerance",
)


class Setting(NamedTuple):
    """What a charter would say."""

    m: int = 8
    tolerance: float = 0.03
    look: int = 256
    budget: int = 2048

    @property
    def plan(self) -> GatePlan:
        return GatePlan(look=self.look, budget=self.budget)


class Ran(NamedTuple):
    """One run. Rounds count from 1; None is never."""

    start: int | None
    """Round in which drift begins."""
    beyond: int | None
    """First round beyond the tolerance."""
    stopped: int | None
    means: list[float]
    """The drifting monitor's true mean by round."""
    back_to: int | None
    named: bool
    """Whether the drifting monitor, and no other, was named."""
    holds: int
    bad_promoted: int
    """Rounds beyond the tolerance that the gate promoted by itself."""
    bad: int
    units: int
    """Units bought, over all monitors and rounds."""
    prompts: int
    """The same if monitors share their prompts."""
    rules: dict[str, int | None]
    """Round in which each other rule stops."""


Drift = Callable[[int], float]
"""True mean of the drifting monitor in the k-th round of its drift, k from 0."""
DRIFTS: dict[str, Drift] = {
    "step": lambda k: 0.10,
    "ramp": lambda k: 0.01 * (k + 1),
    "intermittent": lambda k: 0.05 if k % 3 == 0 else 0.0,
}


@lru_cache(maxsize=256)
def law(m: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of a prompt's difference and their chances: base rate 0.2, effects of prompts effect -0.1 and +0.1."""
    shares = np.arange(m + 1)
    anchor = binom.pmf(shares, m, 0.2)[::-1]
    chances = [np.convolve(binom.pmf(shares, m, 0.2 + effect + sign * 0.1), anchor) for sign in (-1, 1)]
    return np.arange(-m, m + 1) / m, np.mean(chances, axis=0) / np.sum(np.mean(chances, axis=0))


def one_run(
    setting: Setting, rng: np.random.Generator, *, level: float, drift: Drift | None, start: int | None, rounds: int
) -> Ran:
    """Simulate until the gate and all other rules have stopped, the drift is 14 rounds old, or the rounds are over."""
    streams = [Stream(name, f"{name} drifts", setting.tolerance, "more") for name in NAMES]
    gate = Gate(setting.plan, streams, N_ROUNDS)
    others = Others(setting)
    means: list[float] = []
    counted = {"holds": 0, "bad_promoted": 0, "units": 0, "prompts": 0}
    stopped: Decision | None = None
    for round in range(1, rounds + 1):
        drifting = drift is not None and start is not None and round >= start
        means.append(drift(round - start) if drifting else level)  # type: ignore[misc, operator]
        counts = draw(setting, rng, level, means[-1])
        others.see(round, counts)
        if stopped is None:
            decision = judge(gate, round, counts, setting, counted)
            counted["bad_promoted"] += decision.action == "promote" and means[-1] > setting.tolerance + SLACK
            if decision.action == "hold":
                gate.approve(round, "the operator")
                counted["holds"] += 1
            stopped = decision if decision.action in ("rollback", "stop") else None
        late = start is not None and round >= start + 14
        if late or (stopped is not None and others.all_stopped):
            break
    last = stopped.round if stopped else len(means)
    bad = [r for r, mean in enumerate(means, start=1) if mean > setting.tolerance + SLACK]
    return Ran(
        start,
        bad[0] if bad else None,
        stopped.round if stopped else None,
        means,
        stopped.back_to if stopped else None,
        stopped is not None and stopped.causes == NAMES[:1],
        rules=others.stopped,
        bad=sum(r <= last for r in bad),
        **counted,
    )


def draw(setting: Setting, rng: np.random.Generator, level: float, first: float) -> np.ndarray:
    """How often each value comes, by monitor and look; the first monitor is the drifting one."""
    looks = setting.budget // setting.look
    counts = rng.multinomial(setting.look, law(setting.m, level)[1], size=(N_MONITORS, looks))
    if first != level:
        counts[0] = rng.multinomial(setting.look, law(setting.m, round(first, 9))[1], size=looks)
    return counts


def judge(gate: Gate, round: int, counts: np.ndarray, setting: Setting, counted: dict[str, int]) -> Decision:
    """One round at the gate, look by look."""
    gate.begin_round(round)
    values = law(setting.m, 0.0)[0]
    active = list(range(N_MONITORS))
    for k in range(counts.shape[1]):
        for i in active:
            gate.look(round, NAMES[i], Tally(values, counts[i, k]))
        counted["units"] += len(active) * setting.look
        counted["prompts"] += setting.look
        active = [i for i in active if gate.wants(NAMES[i])]
        if not active:
            break
    return gate.decide(round)


class Others:
    """What people do instead, on all prompts of each round. Tests are one-sided at 5 %, of a mean at most the tolerance, or at most 0 where they say `of no change`."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.values = law(setting.m, 0.0)[0]
        self.sums = np.zeros((2, N_MONITORS))
        self.n = 0
        self.stopped: dict[str, int | None] = dict.fromkeys(RULES)

    @property
    def all_stopped(self) -> bool:
        return None not in self.stopped.values()

    def see(self, round: int, counts: np.ndarray) -> None:
        """Stop where a rule says so."""
        by_look = np.stack([counts @ self.values, counts @ self.values**2])
        tau, budget, look = self.setting.tolerance, self.setting.budget, self.setting.look
        sums, n = by_look.sum(axis=2), self.n + look * np.arange(1, counts.shape[1] + 1)
        mean, pooled = sums[0] / budget, self.sums[:, :, None] + by_look.cumsum(axis=2)
        statistic = t_statistic(sums, budget, tau)
        now = (
            (t_statistic(sums, budget, 0.0) > quantile(0.05, budget)).any(),
            (statistic > quantile(0.05, budget)).any(),
            (statistic > quantile(0.05 / N_MONITORS, budget)).any(),
            (statistic > quantile(0.05 / N_MONITORS / N_ROUNDS, budget)).any(),
            (t_statistic(pooled, n, 0.0) > quantile(0.05, 10**6)).any(),
            (t_statistic(pooled, n, tau) > quantile(0.05, 10**6)).any(),
            (mean > tau).any(),
            (mean > 2 * tau).any(),
        )
        self.sums += sums
        self.n += budget
        for rule, fired in zip(RULES, now, strict=True):
            if fired and self.stopped[rule] is None:
                self.stopped[rule] = round


def t_statistic(sums: np.ndarray, n: int | np.ndarray, tau: float) -> np.ndarray:
    """From sums and sums of squares."""
    mean = sums[0] / n
    variance = (sums[1] / n - mean**2) * n / (n - 1)
    return np.asarray((mean - tau) / np.sqrt(variance / n))


@lru_cache(maxsize=64)
def quantile(alpha: float, n: int) -> float:
    return float(t.ppf(1 - alpha, n - 1))


def many(
    setting: Setting, name: str, n_runs: int, seed: int, rounds: int = N_ROUNDS, last_start: int = 39
) -> list[Ran]:
    """All runs of a scenario; drift begins early enough to be seen to its end."""
    ran = []
    for run in range(n_runs):
        rng = np.random.default_rng([seed, run])
        start = int(rng.integers(1, last_start + 1)) if name in DRIFTS else None
        level = setting.tolerance if name == "edge" else 0.0
        ran.append(one_run(setting, rng, level=level, drift=DRIFTS.get(name), start=start, rounds=rounds))
    return ran


def is_false(ran: Ran, stopped: int | None) -> bool:
    return stopped is not None and (ran.beyond is None or stopped < ran.beyond)


def caught(ran: Ran, stopped: int | None, name: str) -> bool:
    """Within 2 rounds of a step, before a ramp reached 0.08, within 12 rounds else; a stop before the drift does not count."""
    if stopped is None or ran.start is None or is_false(ran, stopped):
        return False
    if name == "ramp":
        return ran.means[stopped - 1] < 0.08 - SLACK
    return stopped - ran.start < (2 if name == "step" else 12)


def share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if len(hits) else float("nan")


def upper(hits: Sequence[bool]) -> float:
    """Upper end of the exact 95 % interval."""
    return float(clopper_pearson(sum(hits), len(hits))[1])


def row(rule: str, ran: dict[str, list[Ran]], stopped: Callable[[Ran], int | None]) -> dict[str, Any]:
    """How one rule did in all scenarios."""
    still = {name: [is_false(r, stopped(r)) for r in ran[name]] for name in ("harmless", "edge")}
    found = {name: [caught(r, stopped(r), name) for r in ran[name]] for name in DRIFTS}
    damage = [r.means[s - 1] for r in ran["ramp"] if (s := stopped(r)) is not None and not is_false(r, s)]
    return {
        "rule": rule,
        "stops harmless": share(still["harmless"]),
        "stops at the edge": share(still["edge"]),
        "at most": max(upper(hits) for hits in still.values()),
        "step within 2 rounds": share(found["step"]),
        "ramp before 0.08": share(found["ramp"]),
        "intermittent within 12 rounds": share(found["intermittent"]),
        "ramp when stopped": float(np.mean(damage)) if damage else None,
    }


def facts(name: str, ran: list[Ran], setting: Setting) -> dict[str, Any]:
    """What else is known of a scenario at the gate."""
    done = [r for r in ran if r.stopped is not None and not is_false(r, r.stopped)]
    judged = sum(r.stopped or min(len(r.means), N_ROUNDS) for r in ran)
    good = [
        [0, *(k for k, mean in enumerate(r.means[: r.stopped], 1) if mean <= setting.tolerance + SLACK)] for r in done
    ]
    told: dict[str, Any] = {
        "scenario": name,
        "runs": len(ran),
        "false_stops": sum(is_false(r, r.stopped) for r in ran),
        "held_share_of_rounds": sum(r.holds for r in ran) / judged,
        "units_a_monitor_and_round": sum(r.units for r in ran) / judged / N_MONITORS,
        "prompts_a_round_if_shared": sum(r.prompts for r in ran) / judged,
    }
    if done:
        told |= {
            "delay_rounds_mean": float(np.mean([r.stopped - r.beyond for r in done])),  # type: ignore[operator]
            "delays": np.bincount([r.stopped - r.beyond for r in done]).tolist(),  # type: ignore[operator]
            "damage_at_stop_mean": float(np.mean([r.means[r.stopped - 1] for r in done])),  # type: ignore[operator]
            "damage_at_stop_most": float(np.max([r.means[r.stopped - 1] for r in done])),  # type: ignore[operator]
            "right_monitor_named": share([r.named for r in done]),
            "rolled_back_within_tolerance": share([r.back_to in ok for r, ok in zip(done, good, strict=True)]),
            "rounds_further_than_needed": float(
                np.mean([ok[-1] - (r.back_to or 0) for r, ok in zip(done, good, strict=True)])
            ),
            "bad_rounds_promoted_by_the_gate": sum(r.bad_promoted for r in ran) / max(sum(r.bad for r in ran), 1),
        }
    print({k: round(v, 4) if isinstance(v, float) else v for k, v in told.items()}, flush=True)
    return told


def trade(setting: Setting, n_runs: int) -> dict[str, Any]:
    """What a sample budget buys, over short runs: drift begins in rounds 1 to 5 of 50."""
    ran = {name: many(setting, name, n_runs, 7, last_start=5) for name in ("step", "ramp")}
    quiet = many(setting, "harmless", max(n_runs // 10, 1), 8, rounds=10)
    delays = [r.stopped - r.start for r in ran["step"] if r.stopped is not None and not is_false(r, r.stopped)]  # type: ignore[operator]
    told = {
        "samples a prompt": setting.m,
        "tolerance": setting.tolerance,
        "budget": setting.budget,
        "harmless rounds held": sum(r.holds for r in quiet) / sum(len(r.means) for r in quiet),
        "prompts a harmless round": sum(r.prompts for r in quiet) / sum(len(r.means) for r in quiet),
        "step within 2 rounds": share([caught(r, r.stopped, "step") for r in ran["step"]]),
        "step delay, rounds": float(np.mean(delays)) if delays else None,
        "ramp before 0.08": share([caught(r, r.stopped, "ramp") for r in ran["ramp"]]),
    }
    print({k: round(v, 4) if isinstance(v, float) else v for k, v in told.items()}, flush=True)
    return told


def main() -> None:
    """Simulate all scenarios and compare with the bars."""
    args = options(__doc__ or "")
    begun, setting = time.process_time(), Setting()
    variance = float(law(setting.m, 0.0)[0] ** 2 @ law(setting.m, 0.0)[1])
    streams = [Stream(name, "drifts", setting.tolerance, "more") for name in NAMES]
    cost = check_plan(setting.plan, streams, N_ROUNDS, variance=variance)[0]
    print(f"{setting}; variance of a difference {variance:.3f}; {cost}", flush=True)
    sizes = {"harmless": 400, "edge": 400, "step": 400, "ramp": 400, "intermittent": 400}
    if args.quick:
        sizes = {"harmless": 10, "edge": 10, "step": 40, "ramp": 40, "intermittent": 10}
    ran = {name: many(setting, name, n, seed) for seed, (name, n) in enumerate(sizes.items())}
    scenarios = [facts(name, runs, setting) for name, runs in ran.items()]
    rows = [row("the gate", ran, lambda r: r.stopped)]
    rows += [row(rule, ran, lambda r, rule=rule: r.rules[rule]) for rule in RULES]  # type: ignore[misc]
    for told in rows:
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in told.items()}, flush=True)
    plans = [
        (1, 0.05, 2048),
        (4, 0.05, 1024),
        (4, 0.03, 2048),
        (8, 0.05, 512),
        (8, 0.03, 1024),
        (16, 0.03, 1024),
        (16, 0.02, 2048),
    ]
    budgets = [] if args.quick else [trade(Setting(m, tau, 128, n), 60) for m, tau, n in plans]
    gate = rows[0]
    bars = {
        "runs within tolerance that were stopped": (max(gate["stops harmless"], gate["stops at the edge"]), "<=", 0.05),
        "step of 0.10 caught within 2 rounds": (gate["step within 2 rounds"], ">=", 0.9),
        "ramp of 0.01 a round caught before 0.08": (gate["ramp before 0.08"], ">=", 0.9),
    }
    finish(
        "monitoring",
        args,
        bars=bars,
        rows=rows,
        scenarios=scenarios,
        budgets=budgets,
        setting=setting._asdict(),
        variance=variance,
        cost=cost._asdict(),
        cpu_seconds=time.process_time() - begun,
    )


if __name__ == "__main__":
    main()
