"""`MooringsCallback`: the gate inside a transformers or TRL trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from moorings.charter import load_charter
from moorings.errors import ConfigError
from moorings.supervise.observer import Observer
from moorings.supervise.plan import make_plan
from moorings.supervise.state import RunState
from moorings.supervise.watch import CheckpointGate

__all__ = ["MooringsCallback"]


class MooringsCallback(TrainerCallback):  # type: ignore[misc]
    """Judges each checkpoint of a trainer by a charter and stops the trainer when the gate does not promote it.

    Each checkpoint that the trainer saves is a round. The trainer waits meanwhile; its weights stay where they are. When the
    charter's rounds are used up the trainer is stopped as well, as nobody would watch what follows.

    The run is held open only while a checkpoint is judged. Of several processes the first one judges and tells the others.

    Args:
        charter: YAML file with a section `run`; `data` and `train` are not needed.
        folder: Of the run, made or taken up.
        observer: Told what happens.

    Raises:
        ConfigError: The charter cannot be run.
    """

    def __init__(self, charter: Path | str, folder: Path | str, *, observer: Observer | None = None) -> None:
        make_plan(load_charter(charter), Path(charter).parent, trains=False)
        self._charter, self._folder, self._observer = charter, folder, observer
        self._state: RunState | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Refuse to begin where nothing more would be judged; judge what an interruption left half judged."""
        if state.is_world_process_zero:
            with self._gate() as gate:
                found = self._state = gate.finish_begun()
            if found.status != "running":
                raise ConfigError(
                    f"run {self._folder} is {found.status}: {found.why}; approve or fork it, or name a new folder"
                )
        return control

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Judge what was just saved."""
        over = state.is_world_process_zero and self._judge(Path(args.output_dir) / f"checkpoint-{state.global_step}")
        if args.world_size > 1:
            from accelerate.utils import broadcast_object_list

            said = [over]
            broadcast_object_list(said)
            over = said[0]
        control.should_training_stop = control.should_training_stop or over
        return control

    def _judge(self, checkpoint: Path) -> bool:
        """Whether training is to stop."""
        with self._gate() as gate:
            self._state = gate.state if checkpoint.name in gate.seen() else gate.judge(checkpoint)
            return self._state.status != "running"

    def _gate(self) -> CheckpointGate:
        return CheckpointGate(self._charter, self._folder, observer=self._observer)

    @property
    def state(self) -> RunState | None:
        """Where the run stood when it was last looked at; None before."""
        return self._state
