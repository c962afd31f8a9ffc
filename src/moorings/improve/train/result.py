"""Writes the trained weights: a folder that appears whole, in safetensors and JSON, the same bytes for the same weights."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from moorings.errors import ConfigError
from moorings.improve.train.start_model import StartModel
from moorings.improve.training import TrainJob
from moorings.store.disk import Disk, storage_error
from moorings.subjects.safe_files import check_adapter_folder, check_model_folder

__all__ = ["check_out", "defence_files", "result_uri", "write_result"]

_KEPT = (".safetensors", ".json", ".jinja", ".txt", ".model")
"""Kinds of files of a model folder; a model card, for one, would name this machine's paths and is left out."""


def check_out(job: TrainJob) -> None:
    """Refuse an output folder that no URI could name.

    Raises:
        ConfigError: Its path holds a plus sign, which separates base and adapter in a URI.
    """
    if "+" in str(job.out):
        raise ConfigError(
            f"the output folder {job.out} holds '+', which URIs use to name adapters; choose another name"
        )


def result_uri(start: StartModel, mode: Literal["lora", "full"], out: Path) -> str:
    """URI of the subject that was trained."""
    return f"hf:{out}" if mode == "full" else f"{start.base_uri}+{out}"


def write_result(
    model: Any, start: StartModel, out: Path, extra: dict[str, bytes], on_point: Callable[[str], None]
) -> None:
    """Write the folder under another name, check it as any subject's, and rename it.

    Raises:
        StorageError: A system call failed; nothing appears at `out`.
    """
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        Disk().make_folder(temporary)
        _save_model(model, start, temporary)
        for name, data in sorted(extra.items()):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(data)
        _sync(temporary)
        on_point("before_rename")
        os.rename(temporary, out)
        Disk().fsync_folder(out.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise storage_error(error, out, 0) from error


def defence_files(named: list[tuple[str, dict[str, bytes]]]) -> dict[str, bytes]:
    """The defences' files as paths in the output folder.

    Raises:
        ConfigError: A name leads out of the folder, is of another kind, or is given twice.
    """
    files: dict[str, bytes] = {}
    for defence, found in named:
        for name, data in found.items():
            path = f"defences/{name}"
            if not re.fullmatch(r"[\w-][\w.-]*\.(safetensors|json)", name) or path in files:
                raise ConfigError(
                    f"defence {defence} gave a file {name!a:.80}; allowed: each name once, letters, digits and ._-, "
                    "ending in .safetensors or .json"
                )
            files[path] = data
    return files


def _save_model(model: Any, start: StartModel, folder: Path) -> None:
    if hasattr(model, "peft_config"):
        model.save_pretrained(folder, selected_adapters=["default"], save_embedding_layers=False)
        _settle_adapter_config(folder / "adapter_config.json", start)
    else:
        model.save_pretrained(folder)
        start.files.tokenizer.save_pretrained(folder)
    for path in sorted(folder.iterdir()):
        if path.suffix not in _KEPT:
            path.unlink()
    (check_adapter_folder if hasattr(model, "peft_config") else check_model_folder)(folder)


def _settle_adapter_config(path: Path, start: StartModel) -> None:
    """Sets are written in another order by each process, and the base's path depends on the machine: neither may stay."""
    config = json.loads(path.read_text("utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = start.files.folder.name if start.base_uri.startswith("hf:") else start.base_uri
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


def _sync(folder: Path) -> None:
    """Make all files below a folder durable."""
    for path in sorted(folder.rglob("*")):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    Disk().fsync_folder(folder)
