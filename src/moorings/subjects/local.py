"""Opens `bundled:NAME[+ADAPTER]` and `hf:PATH[+ADAPTER]`: models whose weights are on this machine.

`engine: auto` takes the fastest engine that can run the model here; what was picked is part of the
fingerprint, because an engine can change behaviour. Nothing is ever downloaded by name.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from moorings.errors import ConfigError, ModelFileError, nearest
from moorings.subjects.bundled import bundled_model, model_path
from moorings.subjects.local_model import LocalModel
from moorings.subjects.protocol import Subject
from moorings.subjects.spec import SubjectSpec, parse_uri, subject_backends

__all__ = ["CTRANSLATE2_MODEL_TYPES", "cuda_present", "locate", "open_local", "pick_engine"]

CTRANSLATE2_MODEL_TYPES = frozenset(
    {
        "bloom",
        "codegen",
        "falcon",
        "gemma",
        "gemma2",
        "gemma3_text",
        "gpt2",
        "gpt_bigcode",
        "gpt_neox",
        "gptj",
        "llama",
        "mistral",
        "opt",
        "phi",
        "phi3",
        "qwen2",
        "qwen3",
    }
)
"""Values of `model_type` that CTranslate2's converter takes and that answer chats."""

_PRECISIONS = ("fp32", "bf16", "fp16", "int8")
_AUTO_PRECISION = {
    ("ctranslate2", "cpu"): "int8",
    ("ctranslate2", "cuda"): "fp16",
    ("transformers", "cpu"): "fp32",
    ("transformers", "cuda"): "bf16",
    ("vllm", "cuda"): "bf16",
}
_OPTIONS: dict[str, tuple[str, ...]] = {
    "transformers": (),
    "ctranslate2": ("workers",),
    "vllm": ("gpu_memory_share",),
}
_OPTION_TYPES: dict[str, type] = {"template": str, "context_length": int, "workers": int, "gpu_memory_share": float}


@subject_backends.register("bundled")
@subject_backends.register("hf")
def open_local(spec: SubjectSpec) -> Subject:
    """Open a model from this machine's disk with the engine that the spec names or that fits best.

    Raises:
        ConfigError: Unknown model, engine, precision or option, or a combination that the engine lacks.
        MissingExtraError: The engine is not installed.
        ModelFileError: The model was not fetched, or its folder is missing, incomplete or unsafe.
    """
    name, folder, adapter = locate(spec.uri)
    device = spec.device if spec.device != "auto" else ("cuda" if cuda_present() else "cpu")
    model = LocalModel(
        name=name,
        uri=spec.uri,
        folder=folder,
        adapter=adapter,
        template=spec.options.get("template"),
        max_context=spec.options.get("context_length"),
    )
    engine = pick_engine(spec.engine, device, str(model.config.get("model_type")))
    _check_options(spec, engine)
    return _ENGINES[engine](model, spec, device, _pick_precision(spec.precision, engine, device))


def pick_engine(asked: str, device: str, model_type: str) -> str:
    """The engine to use: as asked, or for "auto" the fastest that can run the model on the device.

    Raises:
        ConfigError: Unknown engine, or CTranslate2 was asked to run an architecture that it lacks.
    """
    if asked not in ("auto", *_ENGINES):
        raise ConfigError(f"unknown engine '{asked}'; {nearest(asked, ['auto', *_ENGINES])}")
    if asked == "ctranslate2" and model_type not in CTRANSLATE2_MODEL_TYPES:
        raise ConfigError(
            f"ctranslate2 cannot run model_type '{model_type}'; allowed: {', '.join(sorted(CTRANSLATE2_MODEL_TYPES))}; "
            "use engine transformers"
        )
    if asked != "auto":
        return asked
    if device.startswith("cuda"):
        return "vllm" if importlib.util.find_spec("vllm") else "transformers"
    return "ctranslate2" if device == "cpu" and model_type in CTRANSLATE2_MODEL_TYPES else "transformers"


def cuda_present() -> bool:
    """Whether an NVIDIA GPU can be used; torch is imported only where its driver is."""
    if not os.path.exists("/dev/nvidiactl") and not os.path.exists("/dev/dxg"):
        return False
    import torch

    return bool(torch.cuda.is_available())


def locate(uri: str) -> tuple[str, Path, Path | None]:
    """Name, model folder and adapter folder of a URI."""
    scheme, rest = parse_uri(uri)
    # A folder's own name may hold a plus sign; only what follows the last one can be an adapter.
    base, plus, extra = ("", "", "") if scheme == "hf" and Path(rest).expanduser().is_dir() else rest.rpartition("+")
    base, adapter = (base, Path(extra).expanduser()) if plus else (rest, None)
    if scheme == "bundled":
        if bundled_model(base).kind != "chat":
            raise ConfigError(f"bundled:{base} is an embedding model, not a subject; allowed: bundled:smollm2-135m")
        folder = model_path(base)
    else:
        folder = Path(base).expanduser()
    if adapter is not None and not adapter.is_dir():
        raise ModelFileError(f"no adapter folder at {adapter} (from '{uri}'); write {scheme}:BASE+ADAPTER_FOLDER")
    name = folder.name if scheme == "hf" else base
    return (f"{name}+{adapter.name}" if adapter else name), folder, adapter


def _pick_precision(asked: str, engine: str, device: str) -> str:
    if asked == "auto":
        return _AUTO_PRECISION.get((engine, device.split(":", 1)[0]), "fp32")
    if asked not in _PRECISIONS:
        raise ConfigError(f"unknown precision '{asked}'; {nearest(asked, ['auto', *_PRECISIONS])}")
    if asked == "int8" and engine != "ctranslate2":
        raise ConfigError(f"precision int8 needs engine ctranslate2, not {engine}; allowed here: fp32, bf16, fp16")
    return asked


def _check_options(spec: SubjectSpec, engine: str) -> None:
    allowed = ("template", "context_length", *_OPTIONS[engine])
    for option, value in spec.options.items():
        if option not in allowed:
            raise ConfigError(f"engine {engine} has no option '{option}'; {nearest(option, allowed)}")
        kind = _OPTION_TYPES[option]
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int | float) and value <= 0):
            raise ConfigError(
                f"option {option}={value!r} must be a {'' if kind is str else 'positive '}{kind.__name__}"
            )


def _transformers(model: LocalModel, spec: SubjectSpec, device: str, precision: str) -> Subject:
    from moorings.subjects.transformers_engine import TransformersSubject

    return TransformersSubject(
        model, precision=precision, device=device, batch_size=spec.batch_size or 32, threads=spec.n_threads()
    )


def _ctranslate2(model: LocalModel, spec: SubjectSpec, device: str, precision: str) -> Subject:
    from moorings.subjects.ctranslate2_engine import CTranslate2Subject

    return CTranslate2Subject(
        model,
        precision=precision,
        device=device,
        batch_size=spec.batch_size or 64,
        threads=spec.n_threads(),
        workers=spec.options.get("workers"),
    )


def _vllm(model: LocalModel, spec: SubjectSpec, device: str, precision: str) -> Subject:
    from moorings.subjects.vllm_engine import VllmSubject

    return VllmSubject(
        model,
        precision=precision,
        device=device,
        batch_size=spec.batch_size or 256,
        gpu_memory_share=spec.options.get("gpu_memory_share", 0.9),
    )


_Engine = Callable[[LocalModel, SubjectSpec, str, str], Subject]
_ENGINES: dict[str, _Engine] = {"transformers": _transformers, "ctranslate2": _ctranslate2, "vllm": _vllm}
