"""A run's numbers for other tools: TensorBoard, MLflow and Weights & Biases.

None is open unless it is asked for by name, and none sends anything anywhere by itself: all write below the given
folder. MLflow goes to a server only where MLFLOW_TRACKING_URI names one, Weights & Biases only where WANDB_MODE says
`online`. A run that is taken up again goes on under the same identity.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from moorings.errors import ConfigError, MissingExtraError
from moorings.records import content_hash
from moorings.registry import Registry
from moorings.report.text import shown

__all__ = ["Exporters", "RunExporter", "exporters", "open_exporters"]

_UNPLAIN = re.compile(r"[^A-Za-z0-9_./ -]")
_MAX_KEY = 120
_MAX_TEXT = 20_000
_PROJECT = "moorings"


class RunExporter(Protocol):
    """A tool that is told of a run. Steps are rounds; a step that is told again replaces what was told."""

    def start(self, run: str, settings: Mapping[str, Any]) -> None:
        """Begin, or go on with, a run.

        Args:
            run: Its name; the same name is the same run.
            settings: JSON-able facts, such as the charter.
        """
        ...

    def scalar(self, name: str, value: float, step: int) -> None:
        """Tell a finite number."""
        ...

    def text(self, name: str, text: str, step: int) -> None:
        """Tell a text without hidden characters."""
        ...

    def close(self) -> None:
        """Write out what is left."""
        ...


exporters: Registry[Callable[[Path], RunExporter]] = Registry("exporter")
"""Factories by name; each takes the folder to write below."""


class Exporters:
    """Several exporters as one; what they are told is made safe here: names plain, numbers finite, texts visible."""

    def __init__(self, opened: Sequence[RunExporter]) -> None:
        self._opened = tuple(opened)

    def __enter__(self) -> Exporters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, run: str, settings: Mapping[str, Any]) -> None:
        """See `RunExporter`."""
        for exporter in self._opened:
            exporter.start(_key(run), settings)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Tell a number; one that is not finite is missing, and is left out."""
        if math.isfinite(value):
            for exporter in self._opened:
                exporter.scalar(_key(name), value, step)

    def text(self, name: str, text: str, step: int) -> None:
        """Tell a text; what would act or hide in it is shown as marks."""
        for exporter in self._opened:
            exporter.text(_key(name), shown(text, _MAX_TEXT), step)

    def close(self) -> None:
        """Close all, each one even if another fails."""
        with ExitStack() as stack:
            for exporter in self._opened:
                stack.callback(exporter.close)


def open_exporters(names: Iterable[str], folder: Path) -> Exporters:
    """Open exporters by name.

    Args:
        names: `tensorboard`, `mlflow`, `wandb`, or what another package registered; none is a set that does nothing.
        folder: Each writes into a folder of its own name below it.

    Raises:
        ConfigError: No such exporter; the nearest one is suggested.
        MissingExtraError: Its package is not installed; the message says how to install it.
    """
    factories = {name: exporters.get(name) for name in names}
    opened: list[RunExporter] = []
    with ExitStack() as undo:
        for name, make in factories.items():
            opened.append(make(folder / name))
            undo.callback(opened[-1].close)
        undo.pop_all()
    return Exporters(opened)


@exporters.register("tensorboard")
class TensorBoardExporter:
    """Event files for TensorBoard.

    Raises:
        MissingExtraError: The package tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = _import("torch.utils.tensorboard", "tensorboard").SummaryWriter(log_dir=str(folder))

    def start(self, run: str, settings: Mapping[str, Any]) -> None:
        """See `RunExporter`."""
        self.text("settings", f"{run}\n{_json(settings)}", 0)

    def scalar(self, name: str, value: float, step: int) -> None:
        """See `RunExporter`."""
        self._writer.add_scalar(name, value, global_step=step)

    def text(self, name: str, text: str, step: int) -> None:
        """Tell a text, indented, so that TensorBoard shows it as it is and not as Markdown."""
        self._writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()), global_step=step)
        self._writer.flush()

    def close(self) -> None:
        """See `RunExporter`."""
        self._writer.close()


@exporters.register("mlflow")
class MlflowExporter:
    """A run of the MLflow experiment `moorings`, in an SQLite file unless MLFLOW_TRACKING_URI names a store.

    Raises:
        MissingExtraError: The package mlflow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        mlflow = _import("mlflow", "mlflow")
        self._given = os.environ.get("MLFLOW_TRACKING_URI")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._run_id = folder.resolve(), ""
        self._client: Any = mlflow.MlflowClient(tracking_uri=self._given or f"sqlite:///{self._folder}/mlflow.db")

    def start(self, run: str, settings: Mapping[str, Any]) -> None:
        """See `RunExporter`."""
        found = self._client.get_experiment_by_name(_PROJECT)
        place = None if self._given else (self._folder / "artifacts").as_uri()
        experiment = found.experiment_id if found else self._client.create_experiment(_PROJECT, artifact_location=place)
        digest = content_hash(run)
        before = self._client.search_runs([experiment], filter_string=f"tags.moorings_run = '{digest}'", max_results=1)
        if before:
            self._run_id = before[0].info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
        else:
            made = self._client.create_run(experiment, tags={"moorings_run": digest}, run_name=run)
            self._run_id = made.info.run_id
        self._client.log_text(self._run_id, _json(settings), "settings.json")

    def scalar(self, name: str, value: float, step: int) -> None:
        """See `RunExporter`."""
        self._client.log_metric(self._run_id, name, value, step=step)

    def text(self, name: str, text: str, step: int) -> None:
        """See `RunExporter`."""
        self._client.log_text(self._run_id, text, f"{_file(name)}/{step:04d}.txt")

    def close(self) -> None:
        """See `RunExporter`."""
        if self._run_id:
            self._client.set_terminated(self._run_id)


@exporters.register("wandb")
class WandbExporter:
    """A run of the Weights & Biases project `moorings`, offline unless WANDB_MODE says otherwise.

    Raises:
        MissingExtraError: The package wandb is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._wandb = _import("wandb", "wandb")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._run: Any = None

    def start(self, run: str, settings: Mapping[str, Any]) -> None:
        """See `RunExporter`; the console is not captured, since the live view draws on it."""
        self._run = self._wandb.init(
            project=_PROJECT,
            name=run,
            id=content_hash(run)[:16],
            resume="allow",
            dir=str(self._folder),
            config=json.loads(_json(settings)),
            mode=os.environ.get("WANDB_MODE") or "offline",
            settings=self._wandb.Settings(console="off", silent=True),
        )
        self._run.define_metric("*", step_metric="round")

    def scalar(self, name: str, value: float, step: int) -> None:
        """See `RunExporter`."""
        self._run.log({name: value, "round": step})

    def text(self, name: str, text: str, step: int) -> None:
        """See `RunExporter`."""
        self._run.log({name: text, "round": step})

    def close(self) -> None:
        """See `RunExporter`."""
        if self._run is not None:
            self._run.finish()


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"the exporter '{package}'", package) from error


def _key(name: str) -> str:
    """A name that every tool takes; one that had to be changed carries a hash, so that no two become the same."""
    plain = _UNPLAIN.sub("_", name)[:_MAX_KEY].strip()
    return plain if plain == name and plain else f"{plain or 'unnamed'}-{content_hash(name)[:8]}"


def _file(name: str) -> str:
    """A key as a path below the artifacts: no step upwards, no empty part."""
    return "/".join(part.strip(".") or "_" for part in name.split("/"))


def _json(settings: Mapping[str, Any]) -> str:
    try:
        return json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"settings for an exporter are not JSON ({error}); give numbers, texts, lists and dicts"
        ) from error
