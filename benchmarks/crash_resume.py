"""Kill a sampling run with SIGKILL, again and again, and look for a lost, changed, doubled or needlessly redrawn sample.

Half of the kills are at named points of the write protocol, half at random moments. The child logs what it draws and
what was acknowledged; after each kill the parent reads the run and compares it with all it has seen before.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from _common import finish, options

POINTS = ("before_ack", "after_ack", "before_part", "after_part", "after_part_line")
SETTINGS = {
    # subject: (uri, engine, precision, batch size, prompts, samples a prompt, tokens, longest wait before a random kill)
    "scripted": ("scripted:lorem", "auto", "auto", 16, 100, 8, 64, 0.4),
    "transformers fp32": ("bundled:smollm2-135m", "transformers", "fp32", 4, 16, 2, 8, 6.0),
    "ctranslate2 int8": ("bundled:smollm2-135m", "ctranslate2", "int8", 8, 24, 2, 16, 4.0),
}


def child(name: str, run: str, logs: str, point: str, nth: int) -> None:
    """Sample until done, or until the nth time that `point` is reached."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(logs + "/stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    import moorings.sampling.sides as sides_module
    import moorings.store.run as run_module
    from moorings.records import Decoding
    from moorings.sampling.prompts import load_prompts
    from moorings.sampling.sample import sample
    from moorings.subjects.spec import SubjectSpec, open_subject

    uri, engine, precision, batch_size, n_prompts, n_samples, n_tokens, _ = SETTINGS[name]
    run_module.SEAL_ROWS = 5 * batch_size
    drawn = os.open(f"{logs}/drawn", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    acked = os.open(f"{logs}/acked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    count: Counter[str] = Counter()

    def on_point(reached: str) -> None:
        count[reached] += 1
        if reached == "after_ack":
            os.write(acked, b"1\n")
        if reached == point and count[reached] == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    spec = SubjectSpec(uri=uri, engine=engine, precision=precision, batch_size=batch_size)
    subject = open_subject(spec)
    answer = subject.generate

    def logged(requests, decoding):
        os.write(drawn, "".join(f"{r.request_id}\n" for r in requests).encode())
        return answer(requests, decoding)

    subject.generate = logged
    sides_module.open_subject = lambda _: subject
    prompts = load_prompts(Path(__file__).parent.parent / "examples" / "prompts.jsonl", limit=n_prompts)
    sample(
        spec,
        prompts,
        run,
        n_samples=n_samples,
        decoding=Decoding(max_new_tokens=n_tokens),
        cache=False,
        on_point=on_point,
    )


@dataclass
class Tally:
    """What all kills of one subject came to."""

    kills: int = 0
    lost: int = 0
    changed: int = 0
    doubled: int = 0
    redrawn_most: int = 0
    """Most samples drawn again after one kill."""
    refused: int = 0
    batch_size: int = 1
    equal: bool | None = None
    points: Counter[str] = field(default_factory=Counter)


def rows_of(run: Path) -> dict[str, str]:
    """Stored samples by key; a key stored twice is reported under a name of its own."""
    from moorings.errors import StorageError
    from moorings.store import Run

    found: dict[str, str] = {}
    if not (run / "run.json").exists():
        return found
    try:
        with Run.open(run) as store:
            for row in store.interactions():
                found[row.key if row.key not in found else f"double {row.key}"] = row.model_dump_json()
    except StorageError as error:
        print(f"  unreadable after a kill: {error}")
        found["unreadable"] = str(error)
    return found


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def launch(name: str, run: Path, logs: Path, point: str, nth: int) -> BaseProcess:
    """A process of its own; it starts from a server that has the imports done and holds no run."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=child, args=(name, str(run), str(logs), point, nth))
    process.start()
    return process


def finish_run(name: str, run: Path, logs: Path) -> None:
    """Sample what is missing, without a kill."""
    process = launch(name, run, logs, "never", 1)
    process.join()
    if process.exitcode:
        raise SystemExit(f"the child failed with {process.exitcode}")


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def kill_once(name: str, run: Path, logs: Path, rng: random.Random, known: dict[str, str], tally: Tally) -> bool:
    """One child, killed; returns whether the run was already complete instead."""
    point = rng.choice(POINTS) if tally.kills % 2 == 0 else "random"
    drawn_before, size_before = Counter(lines(logs / "drawn")), size(logs / "drawn")
    process = launch(name, run, logs, point, rng.randint(1, 3))
    if point == "random":
        while process.is_alive() and size(logs / "drawn") == size_before:
            time.sleep(0.002)
        time.sleep(rng.random() * SETTINGS[name][7])
        process.kill()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(f"the child failed with {process.exitcode}")
    found = rows_of(run)
    again = Counter(lines(logs / "drawn")) - drawn_before
    tally.redrawn_most = max(tally.redrawn_most, sum(n for key, n in again.items() if drawn_before[key]))
    redrawn_though_stored = sum(1 for key in again if key in known)
    tally.doubled += sum(key.startswith("double") for key in found) + redrawn_though_stored
    tally.lost += sum(key not in found for key in known) + max(0, len(lines(logs / "acked")) - len_batches(run))
    tally.changed += sum(found.get(key, text) != text for key, text in known.items())
    tally.refused += "unreadable" in found
    known.update(found)
    if process.exitcode == 0:
        return True
    tally.kills += 1
    tally.points[point] += 1
    return False


def len_batches(run: Path) -> int:
    from moorings.store import Run

    with Run.open(run) as store:
        return sum(entry.type == "samples" for entry in store.entries())


def trial(name: str, kills: int, seed: int) -> Tally:
    """Kill runs of one subject until there were enough kills; each run is finished and compared."""
    from moorings import runs

    rng, tally = random.Random(seed), Tally(batch_size=SETTINGS[name][3])
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for part in ("whole-logs", "logs"):
            (base / part).mkdir()
        finish_run(name, base / "whole", base / "whole-logs")
        whole = rows_of(base / "whole")
        n = 0
        while tally.kills < kills:
            run, logs, known = base / f"run{n}", base / f"logs{n}", {}
            logs.mkdir()
            complete = False
            while not complete and tally.kills < kills:
                complete = kill_once(name, run, logs, rng, known, tally)
            finish_run(name, run, logs)
            final = rows_of(run)
            report = runs.verify(run)
            same_parts = sorted(p.name for p in (run / "parts").iterdir()) == sorted(
                p.name for p in (base / "whole" / "parts").iterdir()
            )
            equal = final == whole and same_parts
            tally.equal = equal if tally.equal is None else tally.equal and equal
            tally.lost += len(set(whole) - set(final)) + (not report.ok)
            n += 1
    print(
        f"{name}: {tally.kills} kills {dict(tally.points)}; lost {tally.lost}, changed {tally.changed}, doubled {tally.doubled}, "
        f"most drawn again after a kill {tally.redrawn_most} of a batch of {tally.batch_size}, equal to an uninterrupted run: {tally.equal}"
    )
    return tally


def main() -> None:
    """Run the trials and compare with the bars."""
    args = options(__doc__ or "")
    plan = (
        {"scripted": 12, "transformers fp32": 2}
        if args.quick
        else {"scripted": 34, "transformers fp32": 8, "ctranslate2 int8": 8}
    )
    tallies = {name: trial(name, kills, seed=1) for name, kills in plan.items()}
    must_equal = [t.equal for name, t in tallies.items() if name != "ctranslate2 int8"]
    finish(
        "crash_resume",
        args,
        bars={
            "kills": (sum(t.kills for t in tallies.values()), ">=", sum(plan.values())),
            "lost": (sum(t.lost for t in tallies.values()), "<=", 0),
            "changed": (sum(t.changed for t in tallies.values()), "<=", 0),
            "doubled": (sum(t.doubled for t in tallies.values()), "<=", 0),
            "unreadable": (sum(t.refused for t in tallies.values()), "<=", 0),
            "batches drawn again a kill": (max(t.redrawn_most / t.batch_size for t in tallies.values()), "<=", 1),
            "runs unlike an uninterrupted one": (sum(not e for e in must_equal), "<=", 0),
        },
        subjects={
            name: {"kills": t.kills, "points": dict(t.points), "equal_to_uninterrupted": t.equal}
            for name, t in tallies.items()
        },
    )


if __name__ == "__main__":
    multiprocessing.get_context("forkserver").set_forkserver_preload(["moorings.sampling.sample", "moorings.store.run"])
    main()
