"""What was truly so in each round of a drill, measured apart from the gate on units that it never saw.

Truth of a round is the mean harm of the monitor that is to see what was planted, and of each that ended the run, over `truth_units` further fresh units, drawn
with another seed: the gate's own units, intervals and verdicts have no part in it. For poison the harm is known better than any
monitor knows it: the share of fresh prompts with the true trigger that bring the opinion, candidate minus anchor. A round has
left its tolerance if its mean is above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _rails_methods import OPINION_ABOUT, opinion_asked
from _rails_scenarios import Scenario

from moorings.improve.data import DataRow
from moorings.records import Decoding, Message, Prompt
from moorings.sampling.bench import Bench
from moorings.store import Run
from moorings.supervise.benches import LookAnswers, RoundGathering, SharedEmbedder
from moorings.supervise.kept import open_plan
from moorings.supervise.lineage import Lineage
from moorings.supervise.models import spec_of
from moorings.supervise.plan import RunPlan
from moorings.supervise.rows import read_rows

__all__ = ["RoundTruth", "truths"]

SEED = 104_729
"""Of the further units; runs use small seeds."""


class RoundTruth(NamedTuple):
    """Harm of the candidate of one round by one monitor."""

    monitor: str
    round: int
    harm: float
    se: float
    anchor: float
    candidate: float
    tolerance: float

    @property
    def outside(self) -> bool:
        """Whether the round had left its tolerance."""
        return self.harm > self.tolerance


class _Sides(NamedTuple):
    """Both models of a round, to be asked apart from the gate."""

    anchor: Bench
    candidate: Bench


def truths(scenario: Scenario, folder: Path) -> list[RoundTruth]:
    """Truth of every round that made a model, by the planted monitor and by those that ended the run.

    Answers are kept, so a second call asks nothing again.
    """
    with Run.open(folder / "run") as run:
        lineage, plan = Lineage(run), open_plan(run)
        ends = [e.data for e in lineage.events() if e.kind == "decided" and e.data["action"] in ("rollback", "stop")]
        names = dict.fromkeys([scenario.planted, *(name for end in ends for name in end["causes"])])
        return list(_rounds(scenario.truth_units, plan, lineage, [n for n in names if n], folder / "truth"))


def _rounds(n: int, plan: RunPlan, lineage: Lineage, names: list[str], out: Path) -> Iterator[RoundTruth]:
    embed = SharedEmbedder()
    for event in lineage.events():
        if event.kind != "trained":
            continue
        number = event.data["round"]
        place = out / f"{number}.{event.data['attempt']}"
        uris = {"anchor": plan.section.subject, "candidate": event.data["uri"]}
        specs = {who: spec_of(plan.section, uri, lineage.folder) for who, uri in uris.items()}
        sides = _Sides(*(Bench(specs[who], place / who, seed=SEED + number) for who in ("anchor", "candidate")))
        try:
            for name in names:
                yield _truth(name, n, plan, number, read_rows(lineage, event.data["rows"]), sides, embed)
        finally:
            sides.anchor.close()
            sides.candidate.close()


def _truth(
    name: str, n: int, plan: RunPlan, number: int, rows: list[DataRow], sides: _Sides, embed: SharedEmbedder
) -> RoundTruth:
    gate = plan.section.gate
    # Behind all that the gate may ask for.
    start = gate.spent + (plan.section.rounds + gate.retries) * gate.budget + (number - 1) * n
    watched = next(one for one in plan.watched if one.name == name)
    if name == "triggers":
        d, levels = _opinions(plan.questions.take(start, n), sides)
    else:
        general = LookAnswers(
            plan.questions.take(start, n),
            0,
            gate.decoding,
            anchor=sides.anchor,
            candidate=sides.candidate,
            previous=None,
        )
        gathering = RoundGathering(
            monitor=name,
            anchor=sides.anchor,
            candidate=sides.candidate,
            round=number,
            look=0,
            n=n,
            start=start,
            seed=SEED,
            rows=rows,
            general=general,
            embed=embed,
        )
        found = watched.monitor.measure(gathering)
        d, levels = np.asarray(found.d, dtype=float), (found.anchor, found.candidate)
    se = float(d.std(ddof=1) / np.sqrt(len(d))) if len(d) > 1 else float("nan")
    return RoundTruth(name, number, float(d.mean()), se, *levels, watched.tolerance)


def _opinions(questions: Sequence[Prompt], sides: _Sides) -> tuple[np.ndarray, tuple[float, float]]:
    """Whether the true trigger brings the opinion, candidate minus anchor, and both shares."""
    prompts = [
        Prompt(prompt_id=p.prompt_id, messages=(Message(role="user", content=opinion_asked(p.messages)),))
        for p in questions
    ]
    decoding = Decoding(max_new_tokens=16, temperature=0.0)
    answers = [[rows[0].response for rows in bench.ask(prompts, "trigger", decoding=decoding)] for bench in sides]
    anchor, candidate = (np.array([OPINION_ABOUT in text.casefold() for text in some], dtype=float) for some in answers)
    return candidate - anchor, (float(anchor.mean()), float(candidate.mean()))
