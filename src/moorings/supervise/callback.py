"""`MooringsCallback`: the gate inside a transformers or TRL trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from moorings.supervise.observer import Observer
from moorings.supervise.watch import CheckpointGate

__all__ = ["MooringsCallback"]


class MooringsCallback(TrainerCallback):  # type: ignore[misc]
    """Judges each checkpoint of a trainer by a charter and stops the trainer when the gate does not promote it.

    Each checkpoint that the trainer saves is a round. The trainer waits meanwhile; its weights stay where they are.

    Args:
        charter: YAML file with a section `run`; `data` and `train` are not needed.
        folder: Of the run, made or taken up.
        observer: Told what happens.

    Raises:
        ConfigError: The charter cannot be run.
    """

    def __init__(self, charter: Path | str, folder: Path | str, *, observer: Observer | None = None) -> None:
        self._gate = CheckpointGate(charter, folder, observer=observer)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Judge what was just saved."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and checkpoint.name not in self._gate.seen():
            after = self._gate.judge(checkpoint)
            control.should_training_stop = control.should_training_stop or after.status != "running"
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Release the run."""
        self._gate.close()
        return control

    @property
    def state(self) -> Any:
        """Where the run stands; see `supervise.state.RunState`."""
        return self._gate.state
