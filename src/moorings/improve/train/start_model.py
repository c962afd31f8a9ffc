"""Opens the model that training starts from: base, adapter, and which weights are trained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorings.errors import ConfigError, ModelFileError
from moorings.improve.train.settings import TrainSettings
from moorings.subjects.local import locate
from moorings.subjects.local_model import LocalModel
from moorings.subjects.spec import SubjectSpec, parse_uri

__all__ = ["StartModel", "open_start", "start_files", "trained_parameters"]

_SCHEMES = ("bundled", "hf")


@dataclass(frozen=True)
class StartModel:
    """A model in memory, ready to be trained."""

    model: Any
    """The transformers model, PEFT-wrapped where an adapter is trained."""
    files: LocalModel
    """What it was read from; its tokenizer and chat template are those that sampling uses."""
    base_uri: str
    """URI without the adapter."""


def start_files(spec: SubjectSpec) -> tuple[LocalModel, str]:
    """The checked files of a subject, and its URI without the adapter; no weights are read.

    Raises:
        ConfigError: The subject has no weights on this machine.
        ModelFileError: A folder is missing, incomplete or unsafe.
    """
    if parse_uri(spec.uri)[0] not in _SCHEMES:
        raise ConfigError(
            f"'{spec.uri}' cannot be trained: its weights are not on this machine; allowed: bundled:NAME or hf:PATH"
        )
    name, folder, adapter = locate(spec.uri)
    files = LocalModel(
        name=name,
        uri=spec.uri,
        folder=folder,
        adapter=adapter,
        template=spec.options.get("template"),
        max_context=spec.options.get("context_length"),
    )
    return files, spec.uri.rpartition("+")[0] if adapter else spec.uri


def open_start(spec: SubjectSpec, settings: TrainSettings, *, precision: str, device: str, seed: int) -> StartModel:
    """Read a subject's weights and make those trainable that the settings name.

    Args:
        spec: The subject; its engine and precision are those of sampling and do not matter here.
        settings: Adapter or full weights, and the shape of a fresh adapter.
        precision: fp32 or bf16; the frozen weights below an adapter are kept in it, trained ones in fp32.
        device: Where to put it.
        seed: Fixes a fresh adapter.

    Raises:
        ConfigError: The subject has no weights on this machine.
        ModelFileError: Base or adapter cannot be read; the message names which.
    """
    import torch

    from moorings.subjects.transformers_load import load_model

    files, base_uri = start_files(spec)
    if device == "cpu":
        torch.set_num_threads(spec.n_threads())
    base_only = LocalModel(name=files.name, uri=base_uri, folder=files.folder)
    model = load_model(base_only, precision if settings.mode == "lora" else "fp32", device)
    torch.manual_seed(seed)
    if files.adapter is not None:
        model = _with_start_adapter(model, files.adapter)
    if settings.mode == "full":
        model = model.merge_and_unload() if files.adapter is not None else model
        _unfreeze(model, settings.upper_share)
    elif files.adapter is None:
        model = _with_fresh_adapter(model, settings)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return StartModel(model.to(device).train(), files, base_uri)


def trained_parameters(model: Any) -> dict[str, Any]:
    """The weights that training changes, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _with_fresh_adapter(base: Any, settings: TrainSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    layers, linear = _layer_numbers(base), _linear_names(base)
    upper = _upper(layers, settings.upper_share)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=linear,
        layers_to_transform=None if len(upper) == len(layers) else upper,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


def _with_start_adapter(base: Any, folder: Path) -> Any:
    """The base with an adapter whose training goes on."""
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "adapter_model.safetensors", framework="pt") as stream:
            given = set(stream.keys())
        model = PeftModel.from_pretrained(base, folder, is_trainable=True, local_files_only=True, use_safetensors=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ModelFileError(
            f"the start adapter {folder} cannot be read: {said}; give an adapter of this base model"
        ) from error
    kind = model.peft_config["default"].peft_type
    if str(getattr(kind, "value", kind)) != "LORA":
        raise ModelFileError(f"the start adapter {folder} is of kind {kind}; only LORA can be trained further")
    missing = sorted(set(get_peft_model_state_dict(model, save_embedding_layers=False)) - given)
    if missing:
        # PEFT only warns, and would go on with fresh weights.
        raise ModelFileError(
            f"the start adapter {folder} lacks {len(missing)} weights of its shape, such as {missing[0]}"
        )
    if not all(bool(torch.isfinite(weight).all()) for weight in trained_parameters(model).values()):
        raise ModelFileError(f"the start adapter {folder} holds values that are not finite; take an earlier one")
    return model


def _unfreeze(model: Any, upper_share: float) -> None:
    """Train all weights, or only those of the upper layers."""
    upper = set(_upper(_layer_numbers(model), upper_share))
    for name, weight in model.named_parameters():
        number = _layer_number(name)
        weight.requires_grad_(upper_share == 1.0 or number in upper)


def _layer_number(name: str) -> int | None:
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else None


def _layer_numbers(model: Any) -> list[int]:
    return sorted({number for name, _ in model.named_modules() if (number := _layer_number(f"{name}.")) is not None})


def _upper(layers: list[int], share: float) -> list[int]:
    return layers[len(layers) - max(1, round(len(layers) * share)) :]


def _linear_names(base: Any) -> list[str]:
    """Last parts of the names of all linear layers inside the numbered layers, so without the output head."""
    import torch
    from transformers.pytorch_utils import Conv1D

    modules: Iterable[tuple[str, Any]] = base.named_modules()
    linear = [
        n for n, module in modules if isinstance(module, torch.nn.Linear | Conv1D) and _layer_number(n) is not None
    ]
    if not linear:
        raise ConfigError(f"{type(base).__name__} has no linear layers for an adapter; use mode: full")
    return sorted({name.rpartition(".")[2] for name in linear})
