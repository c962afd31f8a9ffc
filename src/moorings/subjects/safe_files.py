"""Checks on a model folder before any loader sees it.

Loaders of the ecosystem run code for some files: pickled weights, `auto_map` modules, kernels named
by a private attention key. Such folders are refused here, by our own reading of their JSON, and the
engines are then told to load safetensors only and to trust no remote code.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moorings.errors import ModelFileError, UnsafeFileError
from moorings.records import content_hash
from moorings.subjects.model_cache import cache_dir, file_sha256

__all__ = [
    "check_adapter_folder",
    "check_model_folder",
    "content_sha256_of_weights",
    "read_chat_template",
    "read_config",
]

_PICKLES = (
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".joblib",
    ".npy",
    ".npz",
    ".dill",
    ".mar",
    ".h5",
    ".keras",
)
_MAX_CONFIG_BYTES = 10 * 2**20
_MAX_TOKENIZER_BYTES = 200 * 2**20
_LARGE_JSON = {"tokenizer.json", "vocab.json"}
_OTHER_SETTINGS = {"added_tokens.json", "chat_template.json", "modules.json", "special_tokens_map.json"}
_ATTENTION = {None, True, False, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"}
_PRIVATE_KEYS = {
    "__version__",
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_commit_hash",
    "_flash_attn_2_enabled",
    "_from_model_config",
    "_model_name_or_path",
    "_name_or_path",
    "_sliding_window_pattern",
}
_CODE_KEYS = {"auto_map", "custom_pipelines", "trust_remote_code", "custom_generate", "use_kernels", "kernel_config"}
_FREE_TEXT = {"chat_template", "added_tokens_decoder", "additional_special_tokens", "extra_special_tokens"}
_BEHAVIOUR_FILES = (
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)


def check_model_folder(folder: Path) -> None:
    """Refuse a model folder that is incomplete or could run code when loaded.

    Raises:
        ModelFileError: It is missing, or not a folder of a transformers model in safetensors.
        UnsafeFileError: It holds only pickled weights, or a setting that loads code or leaves the folder.
    """
    _check_folder(folder, "config.json")
    if (folder / "adapter_config.json").exists():
        raise ModelFileError(
            f"{folder} holds an adapter (adapter_config.json), whose loader would follow the base model it names; "
            f"name both folders yourself: hf:BASE+{folder}"
        )


def check_adapter_folder(folder: Path) -> None:
    """Refuse a PEFT adapter folder that is incomplete or could run code when loaded.

    Raises:
        ModelFileError: It is missing or not an adapter in safetensors.
        UnsafeFileError: As for `check_model_folder`.
    """
    _check_folder(folder, "adapter_config.json")
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelFileError(f"{folder} has no adapter_model.safetensors; save the adapter with peft's save_pretrained")


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A checked JSON file of a model folder; empty if the file is absent.

    Raises:
        ModelFileError: It is not a JSON object.
        UnsafeFileError: It is too large, too deep, or holds a refused key.
    """
    path = folder / name
    if not path.is_file():
        return {}
    value = _read_json(path, _MAX_CONFIG_BYTES)
    if not isinstance(value, dict):
        raise ModelFileError(f"{path} must hold a JSON object, found {type(value).__name__}")
    _check_keys(path, value, "")
    return value


def read_chat_template(folder: Path) -> str | None:
    """The chat template's source, from `chat_template.jinja` or `tokenizer_config.json`; None if there is none.

    Raises:
        UnsafeFileError: The file is over 10 MB.
    """
    path = folder / "chat_template.jinja"
    if path.is_file():
        _check_size(path, _MAX_CONFIG_BYTES)
        return path.read_text("utf-8")
    template = read_config(folder, "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):
        named = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def content_sha256_of_weights(folder: Path) -> str:
    """Hash of the weights, configuration and tokenizer in a folder: sorted names and contents.

    The chat template is left out: it has its own place in the fingerprint. File hashes are kept in
    the cache by path, size and modification time, so only the first call reads the weights.
    """
    paths = [*folder.glob("*.safetensors"), *(folder / name for name in _BEHAVIOUR_FILES)]
    return content_hash({path.name: _remembered_sha256(path) for path in sorted(paths) if path.is_file()})


def _check_folder(folder: Path, config_name: str) -> None:
    if not folder.is_dir():
        raise ModelFileError(f"no model folder at {folder}; models are read from disk only, never downloaded by name")
    weights = sorted(path for path in folder.iterdir() if path.suffix == ".safetensors")
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _PICKLES)
    if not weights and pickled:
        raise UnsafeFileError(
            f"{folder} has only weights in formats that can run code when loaded ({', '.join(pickled[:5])}); "
            "convert them to safetensors on a machine you can afford to lose, or fetch a safetensors copy"
        )
    if not weights:
        raise ModelFileError(f"{folder} has no *.safetensors file; allowed: a folder saved by save_pretrained")
    if not (folder / config_name).is_file():
        raise ModelFileError(f"{folder} has no {config_name}; allowed: a folder saved by save_pretrained")
    for path in sorted(folder.rglob("*.json")):
        if path.name in _LARGE_JSON:
            _check_size(path, _MAX_TOKENIZER_BYTES)
        elif path.name.endswith(".index.json"):
            _check_index(path)
        elif path.name.endswith("config.json") or path.name in _OTHER_SETTINGS:
            _check_keys(path, _read_json(path, _MAX_CONFIG_BYTES), "")


def _check_size(path: Path, limit: int) -> None:
    size = path.stat().st_size
    if size > limit:
        raise UnsafeFileError(f"{path} has {size / 2**20:.0f} MB; at most {limit // 2**20} MB are read of such a file")


def _read_json(path: Path, limit: int) -> Any:
    _check_size(path, limit)
    try:
        return json.loads(path.read_text("utf-8"))
    except RecursionError as error:
        raise UnsafeFileError(f"{path} nests too deeply to be a configuration") from error
    except ValueError as error:
        raise ModelFileError(f"{path} is not valid JSON: {error}") from error


def _check_index(path: Path) -> None:
    """The index names the files that hold the shards; each must be a safetensors file of the same folder."""
    value = _read_json(path, _MAX_TOKENIZER_BYTES)
    shards = value.get("weight_map", {}) if isinstance(value, dict) else {}
    for key, name in shards.items() if isinstance(shards, dict) else ():
        if not isinstance(name, str) or re.search(r"[/\\]|^\.\.$", name):
            raise UnsafeFileError(f"{path}: weight_map.{key} leaves the folder: {str(name)[:80]!r}; write plain names")
        if not name.endswith(".safetensors") and path.name == "model.safetensors.index.json":
            raise UnsafeFileError(f"{path}: weight_map.{key} names {name[:80]!r}; only *.safetensors is loaded")


def _check_keys(path: Path, value: Any, where: str) -> None:
    for key, item, inside in _walk(value, where):
        name = f"{inside}{key}"
        refused = None
        if key in _CODE_KEYS and item not in (None, False, {}, []):
            refused = "makes a loader import or fetch code"
        elif "attn_implementation" in key and not _known_attention(item):
            refused = f"asks for an attention kernel outside transformers: {str(item)[:80]!r}"
        elif key.startswith("_") and key not in _PRIVATE_KEYS and path.name != "adapter_config.json":
            refused = "is a private key that no known version of transformers writes"
        elif isinstance(item, str) and ".." in re.split(r"[/\\]", item) and not _FREE_TEXT & {*name.split(".")}:
            refused = f"holds a path that leaves the folder: {item[:80]!r}"
        elif path.name == "modules.json" and key == "type" and not str(item).startswith("sentence_transformers."):
            refused = f"imports a class outside sentence_transformers: {str(item)[:80]!r}"
        elif key == "parent_library" and not str(item).startswith("transformers."):
            refused = f"imports a module outside transformers: {str(item)[:80]!r}"
        if refused:
            raise UnsafeFileError(
                f"{path}: key '{name}' {refused}; remove it if you know what the model is, or use another model"
            )


def _walk(value: Any, where: str) -> Iterator[tuple[str, Any, str]]:
    """All (key, value, dotted place) of nested JSON, without recursion."""
    stack = [(value, where)]
    while stack:
        node, place = stack.pop()
        if isinstance(node, dict):
            for key, item in node.items():
                yield key, item, place
                stack.append((item, f"{place}{key}."))
        elif isinstance(node, list):
            for number, item in enumerate(node):
                if isinstance(item, str):
                    yield str(number), item, place
                stack.append((item, f"{place}{number}."))


def _known_attention(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_known_attention(item) for item in value.values())
    return isinstance(value, str | bool | None) and value in _ATTENTION


def _remembered_sha256(path: Path) -> str:
    """A file's hash, from the cache if the file has the size and time it had then."""
    status = path.stat()
    key = content_hash([str(path.resolve()), status.st_size, status.st_mtime_ns])
    note = cache_dir() / "hashes" / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(note.read_text("utf-8"))["sha256"])
    sha256 = file_sha256(path)
    # The note only saves time: a read-only or full cache must not stop the work.
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=note.parent, suffix=".part")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump({"path": str(path), "sha256": sha256}, stream)
        os.replace(temporary, note)
    return sha256
