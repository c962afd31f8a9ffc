"""Kill a supervised run with SIGKILL in every phase and look for anything lost, altered, doubled or done twice.

Half of the kills are at named points (before and after each event of the lineage, in training, around the rename of a model),
half at random moments. With simulated models, which repeat themselves, the resumed run must end with the lineage hash of an
uninterrupted one; with the embedded model, whose sampler may not, nothing acknowledged may be lost or doubled. In the
end single bytes of journal, data, answers and models are flipped, and `verify` must notice each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml
from _common import finish, options

from moorings.supervise.observer import Silent

EVENTS = (
    "collected",
    "audited",
    "trained",
    "opened",
    "looked",
    "discovered",
    "compared",
    "sealed",
    "weighed",
    "decided",
)
POINTS = (
    *(f"{side} {event}" for event in EVENTS for side in ("before", "after")),
    "step",
    "before_rename",
    "after_rename",
)
CHARTER: dict[str, Any] = {
    "title": "A run that is killed",
    "purpose": "To lose nothing.",
    "forbidden": [{"name": "praise", "phrases": ["great question"], "direction": "more", "tolerance": 0.25}],
}
RUNS: dict[str, dict[str, Any]] = {
    "simulated": {
        "subject": "simulated:m",
        "rounds": 3,
        "data": [{"use": "self_distillation", "n_prompts": 12, "max_new_tokens": 16}],
        "train": {"use": "simulated", "add": {"Great question!": 0.02}},
        "changes": [{"round": 2, "train": {"use": "simulated", "add": {"Great question!": 0.7}}}],
        "gate": {"look": 48, "budget": 144, "decoding": {"max_new_tokens": 16}, "unknown_tolerance": 0.3},
    },
    "embedded model": {
        "subject": "bundled:smollm2-135m",
        "rounds": 2,
        "data": [{"use": "self_distillation", "n_prompts": 8, "max_new_tokens": 16}],
        "train": {"use": "sft", "max_steps": 3, "batch_size": 4, "save_steps": 1, "upper_share": 0.3},
        "gate": {"look": 48, "budget": 48, "decoding": {"max_new_tokens": 12}, "discover": False, "promote_alpha": 0.2},
    },
}
LONGEST_WAIT_S = {"simulated": 2.5, "embedded model": 40.0}


class Log(Silent):
    """An observer that keeps which phases began."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._key = ""

    def round_started(self, round: int, attempt: int) -> None:
        self._key = f"{round}.{attempt}"

    def phase(self, name: str) -> None:
        os.write(self._fd, json.dumps([self._key, name]).encode() + b"\n")


def child(charter: str, run: str, logs: str, point: str, nth: int) -> None:
    """Run until done, or until the nth time that `point` is reached."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(f"{logs}/stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    from moorings.supervise.supervisor import supervise

    count: Counter[str] = Counter()

    def on_point(reached: str) -> None:
        count[reached] += 1
        if reached == point and count[reached] == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    supervise(charter, run, observer=Log(f"{logs}/phases"), on_point=on_point)


def launch(charter: Path, run: Path, logs: Path, point: str, nth: int) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=child, args=(str(charter), str(run), str(logs), point, nth))
    process.start()
    return process


@dataclass
class Tally:
    """What all kills of one kind of run came to."""

    kills: int = 0
    lost: int = 0
    """Acknowledged events or answers that were gone or altered after a kill, and runs that no longer verify."""
    doubled: int = 0
    runs: int = 0
    again: int = 0
    """Phases that began although they had ended."""
    unlike: int = 0
    """Finished runs with other decisions or another lineage hash than the uninterrupted one."""
    points: Counter[str] = field(default_factory=Counter)


def facts_of(run: Path) -> tuple[list[tuple[str, str]], dict[str, str], Counter[str], set[str]]:
    """Events, answers by run and key, answers stored twice, and phases that ended."""
    from moorings.store import Run
    from moorings.supervise.lineage import Lineage
    from moorings.supervise.proof import nested_runs

    if not (run / "run.json").exists():
        return [], {}, Counter(), set()
    with Run.open(run) as opened:
        lineage = Lineage(opened)
        events = [(event.key, event.hash) for event in lineage.events()]
        ended = {json.dumps([key, phase]) for key, phases in lineage.seconds().items() for phase in phases}
    answers: dict[str, str] = {}
    doubles: Counter[str] = Counter()
    for path in nested_runs(run / "rounds"):
        with Run.open(path) as opened:
            for row in opened.interactions():
                key = f"{path.relative_to(run)} {row.key}"
                doubles[key] += key in answers
                answers[key] = row.model_dump_json()
    return events, answers, doubles, ended


def check(run: Path, logs: Path, before: Any, n_begun: int, tally: Tally) -> Any:
    """Compare a run after a kill with all that was known of it."""
    after = facts_of(run)
    tally.lost += after[0][: len(before[0])] != before[0]
    tally.lost += sum(after[1].get(key) != text for key, text in before[1].items())
    tally.doubled += sum(after[2].values())
    begun = (logs / "phases").read_text().splitlines()[n_begun:] if (logs / "phases").exists() else []
    tally.again += sum(phase in before[3] for phase in begun)
    return after


def finish_run(charter: Path, run: Path, logs: Path) -> None:
    process = launch(charter, run, logs, "never", 1)
    process.join()
    if process.exitcode:
        raise SystemExit(f"the child failed with {process.exitcode}: {(logs / 'stderr').read_text()[-2000:]}")


def killed_run(kind: str, charter: Path, base: Path, most: int, rng: random.Random, tally: Tally) -> Path:
    """One run, killed until it is over or there were kills enough, then finished."""
    run, logs = base / f"run{tally.runs}", base / f"logs{tally.runs}"
    tally.runs += 1
    logs.mkdir()
    known: Any = ([], {}, Counter(), set())
    while tally.kills < most:
        n_begun = len((logs / "phases").read_text().splitlines()) if (logs / "phases").exists() else 0
        point = rng.choice(POINTS) if tally.kills % 2 == 0 else "random"
        process = launch(charter, run, logs, point, rng.randint(1, 3))
        if point == "random":
            process.join(0.3 + rng.random() * LONGEST_WAIT_S[kind])
            process.kill()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            raise SystemExit(f"the child failed with {process.exitcode}: {(logs / 'stderr').read_text()[-2000:]}")
        known = check(run, logs, known, n_begun, tally)
        if process.exitcode == 0:
            break
        tally.kills += 1
        tally.points[point] += 1
    finish_run(charter, run, logs)
    return run


def trial(kind: str, kills: int, seed: int, base: Path) -> tuple[Tally, Path]:
    """Kill runs of one kind until there were enough kills; each is finished and compared with an uninterrupted one."""
    from moorings.supervise.proof import verify_run

    rng, tally, start = random.Random(seed), Tally(), time.monotonic()
    base.mkdir()
    charter = base / "charter.yaml"
    charter.write_text(yaml.safe_dump({**CHARTER, "run": RUNS[kind]}))
    (base / "logs").mkdir()
    whole = base / "whole"
    finish_run(charter, whole, base / "logs")
    wanted = facts_of(whole)[0]
    while tally.kills < kills:
        run = killed_run(kind, charter, base, kills, rng, tally)
        tally.unlike += facts_of(run)[0] != wanted
        proof = verify_run(run)
        tally.lost += not proof.ok
        for problem in proof.problems:
            print(f"  {problem}")
    print(
        f"{kind}: {tally.kills} kills at {dict(tally.points)}; lost {tally.lost}, doubled {tally.doubled}, phases done twice "
        f"{tally.again}, runs unlike the uninterrupted one {tally.unlike}; {time.monotonic() - start:.0f} s"
    )
    return tally, whole


def unnoticed(run: Path, n: int, rng: random.Random) -> tuple[int, int]:
    """Flip single bytes of files that hold journal, data, answers and models; how many flips, and how many `verify` missed."""
    from moorings.errors import MooringsError
    from moorings.supervise.proof import verify_run

    loose = {"lock.json", "report.html", "report.md", "story.json", "charter.yaml"}
    files = [p for p in run.rglob("*") if p.is_file() and p.stat().st_size and p.name not in loose]
    files = [p for p in files if "reports" not in p.parts and "training" not in p.parts]
    missed = 0
    for path in rng.sample(files, min(n, len(files))):
        data = path.read_bytes()
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
        try:
            found = not verify_run(run).ok
        except MooringsError:
            found = True
        if not found:
            print(f"  not noticed: byte {at} of {path.relative_to(run)}")
            missed += 1
        path.write_bytes(data)
    return min(n, len(files)), missed


def main() -> None:
    """Run the trials and compare with the bars."""
    args = options(__doc__ or "")
    plan = {"simulated": 12} if args.quick else {"simulated": 38, "embedded model": 12}
    with tempfile.TemporaryDirectory() as folder:
        found = {kind: trial(kind, kills, 1, Path(folder) / kind.split()[0]) for kind, kills in plan.items()}
        copy = Path(folder) / "tampered"
        shutil.copytree(found["simulated"][1], copy)
        flips, missed = unnoticed(copy, 12 if args.quick else 120, random.Random(2))
    tallies = {kind: tally for kind, (tally, _) in found.items()}
    print(f"{flips} flipped bytes, {missed} not noticed")
    finish(
        "crash_run",
        args,
        bars={
            "kills": (sum(t.kills for t in tallies.values()), ">=", sum(plan.values())),
            "lost": (sum(t.lost for t in tallies.values()), "<=", 0),
            "doubled": (sum(t.doubled for t in tallies.values()), "<=", 0),
            "phases done twice": (sum(t.again for t in tallies.values()), "<=", 0),
            "simulated runs unlike the uninterrupted one": (tallies["simulated"].unlike, "<=", 0),
            "flipped bytes not noticed": (missed, "<=", 0),
        },
        runs={
            kind: {"kills": t.kills, "points": dict(t.points), "unlike_uninterrupted": t.unlike}
            for kind, t in tallies.items()
        },
        flips=flips,
    )


if __name__ == "__main__":
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        [
            "torch",
            "sklearn.cluster",
            "moorings.compare.diff",
            "moorings.supervise.supervisor",
            "moorings.improve.train.simulated",
            "moorings.improve.self_distillation",
        ]
    )
    main()
