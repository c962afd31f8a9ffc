"""Converts a model folder, its adapter merged, to CTranslate2's format and keeps it by content hash."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from moorings.errors import ModelFileError
from moorings.records import content_hash
from moorings.subjects.local_model import LocalModel
from moorings.subjects.model_cache import build_folder, cache_dir, folder_problem, locked, touch_folder, trim_folders

__all__ = ["converted_folder"]

MOST_BYTES = 8 * 2**30
"""Converted models that are kept; those that were used longest ago go first."""
_QUANTIZATION = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}


def converted_folder(model: LocalModel, precision: str, converter_version: str) -> Path:
    """The converted weights, made on first use; a damaged folder is made again.

    Args:
        model: What to convert.
        precision: fp32, bf16, fp16 or int8.
        converter_version: CTranslate2's version, part of the key.

    Raises:
        ModelFileError: The architecture cannot be converted, or the cache cannot be written.
    """
    facts = {
        "weights": model.weights_sha256,
        "adapter": model.adapter_sha256,
        "converter": converter_version,
        "precision": precision,
    }
    target = cache_dir() / "ctranslate2" / content_hash(facts)
    if folder_problem(target) is not None:
        with locked(target):
            if folder_problem(target) is not None:
                build_folder(target, lambda folder: _convert(model, precision, folder), **facts)
        # Every candidate of a supervised run is converted; without a limit a long one fills the disk.
        trim_folders(target.parent, most_bytes=MOST_BYTES)
    touch_folder(target)
    return target


def _convert(model: LocalModel, precision: str, folder: Path) -> None:
    if model.adapter is None:
        _run_converter(model.folder, precision, folder)
        return
    with tempfile.TemporaryDirectory(prefix=".merged-", dir=folder.parent) as merged:
        _merge_adapter(model, Path(merged))
        _run_converter(Path(merged), precision, folder)


def _merge_adapter(model: LocalModel, folder: Path) -> None:
    from moorings.subjects.transformers_load import load_model

    load_model(model, "fp32", "cpu").merge_and_unload().save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def _run_converter(source: Path, precision: str, folder: Path) -> None:
    from ctranslate2.converters import TransformersConverter
    from transformers.utils import logging

    class OfflineConverter(TransformersConverter):  # type: ignore[misc]
        """The library's converter, held to local safetensors."""

        def load_model(self, model_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
            return model_class.from_pretrained(
                model_name_or_path, local_files_only=True, use_safetensors=True, trust_remote_code=False, **kwargs
            )

        def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
            return tokenizer_class.from_pretrained(model_name_or_path, local_files_only=True, **kwargs)

    logging.disable_progress_bar()
    try:
        OfflineConverter(str(source)).convert(str(folder), quantization=_QUANTIZATION[precision], force=True)
    except (ValueError, NotImplementedError, AttributeError, KeyError) as error:
        raise ModelFileError(
            f"ctranslate2 could not convert {source}: {error}; use engine transformers for this model"
        ) from error
