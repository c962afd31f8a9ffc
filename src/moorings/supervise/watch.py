"""Checkpoints that another program writes: each new one is a round, copied, looked at and judged like any other.

Only files that a model is loaded from are copied (safetensors, JSON, tokenizer files); optimiser states and pickles stay where
they are. When the gate says stop, a file `moorings-stop.json` appears in the watched folder, for a trainer that looks for it.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from moorings.charter import load_charter
from moorings.errors import ConfigError, ModelFileError
from moorings.store.disk import Disk, write_atomic
from moorings.supervise.benches import SharedEmbedder
from moorings.supervise.kept import WATCHED, start_run
from moorings.supervise.lineage import Lineage
from moorings.supervise.looks import GateKeeper
from moorings.supervise.models import file_hashes, movable
from moorings.supervise.observer import Observer, Silent
from moorings.supervise.plan import RunPlan, make_plan
from moorings.supervise.round import RoundTry
from moorings.supervise.state import Candidate, RunState, read_state
from moorings.supervise.supervisor import judge, settle
from moorings.supervise.wishes import GATE, take_wish

__all__ = ["STOP_FILE", "CheckpointGate", "watch"]

STOP_FILE = "moorings-stop.json"
_WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")
_COPIED = (".safetensors", ".json", ".jinja", ".txt", ".model")
_NOT_COPIED = {"trainer_state.json", "scheduler.json"}
_NUMBER = re.compile(r"(\d+)\D*$")


class CheckpointGate:
    """Judges checkpoints one after the other, against the charter's subject; use it in a `with` block.

    Args:
        charter: YAML file with a section `run`; `data` and `train` are not needed.
        folder: Of the run; made, or taken up.
        observer: Told what happens.

    Raises:
        ConfigError: The charter cannot be run.
        StorageError: The run was started with another charter, or its folder cannot be written.
    """

    def __init__(self, charter: Path | str, folder: Path | str, *, observer: Observer | None = None) -> None:
        path = Path(charter)
        plan: RunPlan = make_plan(load_charter(path), path.parent, trains=False)
        self._plan, self._observer, self._embed = plan, observer or Silent(), SharedEmbedder()
        self._run = start_run(folder, path, plan, WATCHED)
        try:
            self._lineage = Lineage(self._run)
            settle(plan, self._lineage, self.state)
            self._end_after_rollback()
            self._keeper = GateKeeper(plan, self._lineage)
        except BaseException:
            self._run.close()
            raise
        facts = {"title": plan.charter.title, "purpose": plan.charter.purpose, "rounds": plan.section.rounds}
        where = {"folder": str(self._lineage.folder), "subject": plan.section.subject}
        self._observer.run_started({**facts, **where})

    def __enter__(self) -> CheckpointGate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the run."""
        self._run.close()

    @property
    def state(self) -> RunState:
        """Where the run stands; a rollback ends it, as only the trainer could go back."""
        return read_state(self._lineage, self._plan.section.rounds)

    def seen(self) -> set[str]:
        """Names of the checkpoints that were judged, or are being judged; one whose round broke may come again."""
        events = list(self._lineage.events())
        broken = {(e.data["round"], e.data["attempt"]) for e in events if e.kind == "failed"}
        taken = [e.data for e in events if e.kind == "trained"]
        return {data["checkpoint"] for data in taken if (data["round"], data["attempt"]) not in broken}

    def last_seen(self) -> str | None:
        """Name of the checkpoint that was taken up last."""
        return next((e.data["checkpoint"] for e in reversed(list(self._lineage.events())) if e.kind == "trained"), None)

    def stop_if_asked(self) -> bool:
        """Take up a wish to stop that somebody left; whether there was one."""
        return self.state.status == "running" and take_wish(self._lineage)

    def finish_begun(self) -> RunState:
        """Go on judging the checkpoint that was being judged when the run was interrupted, if there is one."""
        state = self.state
        begun = self._lineage.get(f"{state.round}.{state.attempt} trained")
        if state.status == "running" and begun is not None:
            return self.judge(Path(begun["checkpoint"]))
        return state

    def judge(self, checkpoint: Path) -> RunState:
        """Copy a checkpoint, look at it and decide.

        Args:
            checkpoint: Folder with a model or a PEFT adapter in safetensors; a round that has none fails.

        Raises:
            ConfigError: The run is over or held.
        """
        if self.stop_if_asked():
            return self.state
        state = self.state
        if state.status != "running":
            raise ConfigError(f"run {self._lineage.folder} is {state.status}: {state.why}; nothing more is judged")
        self._observer.round_started(state.round, state.attempt)
        attempt = _OutsideTry(self._plan, self._lineage, state, self._observer, self._embed)
        attempt.checkpoint = checkpoint
        try:
            judge(attempt, self._keeper)
        finally:
            attempt.close()
        self._end_after_rollback()
        return self.state

    def _end_after_rollback(self) -> None:
        if self.state.n_rollbacks and self.state.status == "running":
            rules = [e.data["rule"] for e in self._lineage.events() if e.kind == "decided"]
            self._lineage.add("stopped", "stopped", {"reason": f"harm was shown. {rules[-1]}", "by": GATE})


class _OutsideTry(RoundTry):
    """A round whose model another program made."""

    checkpoint: Path

    def make_candidate(self) -> Candidate:
        """Copy the checkpoint, once."""
        rows = self.lineage.run.put_artifact(f"rows-{self.key}.jsonl", b"")
        self.lineage.add(
            f"{self.key} collected",
            "collected",
            {**self.place, "rows": rows, "n_rows": 0, "origins": {}, "methods": {}, "dropped": {}, "metrics": {}},
        )
        if self.lineage.get(f"{self.key} trained") is None:
            with self.phase("copy checkpoint"):
                uri = self._copy()
            self.lineage.add(
                f"{self.key} trained",
                "trained",
                {
                    **self.place,
                    "checkpoint": self.checkpoint.name,
                    "uri": movable(uri, self.lineage.folder),
                    "rows": rows,
                    "files": file_hashes(self.folder / "model"),
                    "n_steps": 0,
                    "n_tokens": 0,
                    "metrics": {},
                },
            )
        trained = self.lineage.get(f"{self.key} trained") or {}
        return Candidate(self.round, self.attempt, trained["uri"], trained["rows"])

    def _copy(self) -> str:
        if not _weights(self.checkpoint):
            raise ModelFileError(
                f"{self.checkpoint} holds no weights in safetensors ({', '.join(_WEIGHTS[:2])}); "
                "let the trainer save in safetensors"
            )
        out = self.folder / "model"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        try:
            for path in sorted(self.checkpoint.iterdir()):
                if path.is_file() and path.suffix in _COPIED and path.name not in _NOT_COPIED:
                    shutil.copyfile(path, out / path.name)
        except FileNotFoundError as error:
            raise ModelFileError(
                f"{self.checkpoint} was removed while it was copied ({error}); let the trainer keep more checkpoints"
            ) from error
        base = self.plan.section.subject.partition("+")[0]
        return f"{base}+{out}" if (out / "adapter_config.json").exists() else f"hf:{out}"


def watch(
    folder: Path | str,
    charter: Path | str,
    run: Path | str,
    *,
    observer: Observer | None = None,
    poll_s: float = 2.0,
    idle_s: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> RunState:
    """Judge each checkpoint that appears in a folder until the gate stops, the rounds are used up, or nothing comes.

    Whatever ends it but the last round or the lack of checkpoints leaves `moorings-stop.json` in the folder.

    Args:
        folder: Where the trainer writes one subfolder a checkpoint.
        charter: See `CheckpointGate`.
        run: Folder of the run; call again to take it up.
        observer: Told what happens.
        poll_s: Seconds between two looks into the folder.
        idle_s: Give up after so long without a new checkpoint; None waits for ever.
        sleep: How to wait, for tests.

    Returns:
        Where the run stands.
    """
    root, idle = Path(folder), 0.0
    sizes: dict[str, int] = {}
    with CheckpointGate(charter, run, observer=observer) as gate:
        if gate.state.status == "running":
            # Left when the run was held or had failed; a trainer that goes on must not find it.
            (root / STOP_FILE).unlink(missing_ok=True)
        state = gate.finish_begun()
        while state.status == "running" and (idle_s is None or idle <= idle_s):
            found = _new(root, gate.seen(), sizes)
            if found is not None:
                idle, state = 0.0, gate.judge(found)
            elif gate.stop_if_asked():
                state = gate.state
            else:
                sleep(poll_s)
                idle += poll_s
        if state.status in ("stopped", "held", "failed"):
            note = {"status": state.status, "why": state.why, "checkpoint": gate.last_seen()}
            write_atomic(root / STOP_FILE, json.dumps(note, indent=1).encode(), Disk())
        return state


def _new(root: Path, seen: set[str], sizes: dict[str, int]) -> Path | None:
    """The earliest checkpoint that was not taken up and that has stopped growing since the last call."""
    if not root.is_dir():
        return None
    fresh = [
        p for p in root.iterdir() if p.is_dir() and p.name not in seen and not p.name.startswith(".") and _weights(p)
    ]
    for path in sorted(fresh, key=_order):
        try:
            size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        except FileNotFoundError:
            # The trainer removes old checkpoints as it goes on.
            continue
        if sizes.get(path.name) == size:
            return path
        sizes[path.name] = size
    return None


def _weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _WEIGHTS)


def _order(path: Path) -> tuple[int, str]:
    number = _NUMBER.search(path.name)
    return (int(number[1]) if number else -1, path.name)
