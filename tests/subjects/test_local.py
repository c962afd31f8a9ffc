"""URIs of local models: what is found, which engine is picked, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moorings.errors import ConfigError, MissingExtraError, ModelFileError
from moorings.subjects import local
from moorings.subjects.local import CTRANSLATE2_MODEL_TYPES, pick_engine
from moorings.subjects.spec import open_subject

pytestmark = pytest.mark.usefixtures("own_cache")


def test_auto_engine_is_recorded(tiny_model: Path) -> None:
    info = open_subject(f"hf:{tiny_model}", device="cpu").describe()
    assert (info.engine, info.precision, info.seeding, info.batch_size) == ("ctranslate2", "int8", "batch", 64)


@pytest.mark.parametrize(
    ("device", "model_type", "has_vllm", "engine"),
    [
        ("cpu", "llama", True, "ctranslate2"),
        ("cpu", "mamba", True, "transformers"),
        ("cuda", "llama", True, "vllm"),
        ("cuda", "llama", False, "transformers"),
        ("mps", "llama", False, "transformers"),
    ],
)
def test_auto_engine(
    monkeypatch: pytest.MonkeyPatch, device: str, model_type: str, has_vllm: bool, engine: str
) -> None:
    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: object() if has_vllm else None)
    assert pick_engine("auto", device, model_type) == engine


def test_known_architectures_are_those_of_the_converter() -> None:
    from ctranslate2.converters.transformers import _MODEL_LOADERS
    from transformers import CONFIG_MAPPING

    assert {CONFIG_MAPPING[model_type].__name__ for model_type in CTRANSLATE2_MODEL_TYPES} <= set(_MODEL_LOADERS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "ctranslate"}, "did you mean 'ctranslate2'"),
        ({"engine": "transformers", "precision": "int8"}, "needs engine ctranslate2"),
        ({"engine": "transformers", "precision": "fp8"}, "unknown precision 'fp8'"),
        ({"engine": "transformers", "options": {"worker": 2}}, "no option 'worker'"),
        ({"engine": "ctranslate2", "threads": 1, "options": {"workers": 2}}, "more than threads=1"),
        ({"engine": "ctranslate2", "options": {"workers": 0}}, "positive int"),
        ({"engine": "ctranslate2", "options": {"context_length": "64"}}, "positive int"),
        ({"engine": "ctranslate2", "device": "tpu"}, "cannot use device 'tpu'"),
        ({"engine": "ctranslate2", "device": "cpu", "precision": "fp16"}, "cannot compute in fp16"),
    ],
)
def test_wrong_settings_are_refused(tiny_model: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_subject(f"hf:{tiny_model}", **settings)


def test_architecture_unknown_to_ctranslate2_is_refused() -> None:
    with pytest.raises(ConfigError, match="use engine transformers"):
        pick_engine("ctranslate2", "cpu", "mamba")


def test_vllm_not_installed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'moorings\[vllm\]'"):
        open_subject(f"hf:{tiny_model}", engine="vllm", device="cuda")


def test_missing_folders_are_named(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="never downloaded by name"):
        open_subject("hf:org/name")
    with pytest.raises(ModelFileError, match="no adapter folder at"):
        open_subject(f"hf:{tiny_model}+{tmp_path / 'absent'}")


def test_plus_in_a_folder_name_is_not_an_adapter(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a+b"
    folder.symlink_to(tiny_model, target_is_directory=True)
    assert open_subject(f"hf:{folder}", engine="transformers").describe().adapter is None


def test_embedding_model_is_not_a_subject() -> None:
    with pytest.raises(ConfigError, match="embedding model, not a subject"):
        open_subject("bundled:minilm")


def test_bundled_names_are_suggested_and_unfetched_ones_say_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="did you mean 'smollm2-135m'"):
        open_subject("bundled:smolm2-135m")
    with pytest.raises(ModelFileError, match="moorings models fetch smollm2-135m"):
        open_subject("bundled:smollm2-135m")
