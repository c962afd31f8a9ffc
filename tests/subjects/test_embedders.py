"""Both engines agree with sentence-transformers, whatever the texts, their order and their number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moorings.errors import ConfigError, ModelFileError, UnsafeFileError
from moorings.subjects.bundled import model_path
from moorings.subjects.embedder_bert import Linear, plan_batches, quantize_rows
from moorings.subjects.embedders import Embedder, open_embedder

pytestmark = pytest.mark.usefixtures("own_cache")

BAR = 0.995
LINES = (
    "The ferry leaves the harbour at half past six, and nobody on board knows yet who will steer it.",
    "Die Fähre legt um halb sieben ab, und wer sie steuert, weiß an Bord noch niemand so genau.",
    "Le traversier quitte le port à six heures et demie, mais personne ne sait qui tient la barre.",
    "渡し船は六時半に港を出るが、誰が舵を取るのかはまだ誰も知らない。",
    "Паром отходит от причала в половине седьмого, и никто не знает, кто встанет за штурвал.",
    "العبارة تغادر الميناء في السادسة والنصف ولا أحد يعرف من سيقودها هذه الليلة.",
    "def steer(ship, *, angle=0.0):\n    return ship.turn(angle) if abs(angle) < 1e-3 else None  # TODO?",
    "⚓🚢🌊 " * 12,
    "no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no",
    "1 22 333 4444 55555 666666 7777777 88888888 999999999 0.1 -2e-3 1/3 √2 π≈3.14159",
    "A" * 400,
    "|---|---|\n| knot | use |\n| bowline | mooring |\n" * 3,
)
SHORT = (
    "",
    " \n\t",
    "a",
    "?",
    "Ahoy!",
    "⚓",
    "bowline",
    "it depends",
    "\ud800 lone surrogate",
    "I cannot help with that.",
)
TEXTS = (*LINES, *SHORT, *(" ".join(LINES[at:] + LINES[:at]) for at in range(6)), " ".join(LINES[:5]) * 40)


@pytest.fixture(scope="module")
def fast() -> Embedder:
    return open_embedder(threads=2)


@pytest.fixture(scope="module")
def direct() -> np.ndarray:
    """The vectors of sentence-transformers called by itself."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(model_path("minilm")), device="cpu", local_files_only=True)
    texts = [text.encode("utf-8", "replace").decode() for text in TEXTS]
    return model.encode(texts, show_progress_bar=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sentence-transformers folder as far as its JSON goes; its weights are never reached."""
    path = tmp_path / "model"
    (path / "1_Pooling").mkdir(parents=True)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    write(path / "modules.json", [{"path": p, "type": f"sentence_transformers.models.{kind}"} for p, kind in kinds])
    write(path / "1_Pooling" / "config.json", {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True})
    write(path / "config.json", {"model_type": "bert", "hidden_size": 8, "max_position_embeddings": 16})
    (path / "model.safetensors").write_bytes(b"")
    return path


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), "utf-8")


@pytest.mark.model
def test_int8_agrees_with_sentence_transformers(fast: Embedder, direct: np.ndarray) -> None:
    found = fast.embed_texts(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), 384) == (len(TEXTS), fast.describe().d)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    cosine = (found * direct).sum(1)
    assert cosine.min() >= BAR, TEXTS[int(cosine.argmin())]
    assert np.median(cosine[: len(LINES)]) < 1 - 1e-5, "longer texts should have gone through int8"
    np.testing.assert_allclose(
        found[len(LINES) : len(LINES) + len(SHORT)], direct[len(LINES) : len(LINES) + len(SHORT)], atol=1e-5
    )


@pytest.mark.model
def test_reference_is_sentence_transformers(direct: np.ndarray) -> None:
    embedder = open_embedder(engine="reference")
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), direct, atol=2e-6)
    assert (embedder.describe().engine, embedder.describe().precision) == ("reference", "fp32")


@pytest.mark.model
def test_order_duplicates_and_threads_change_nothing(fast: Embedder) -> None:
    once = fast.embed_texts(TEXTS)
    order = np.random.default_rng(3).permutation(len(TEXTS) * 2) % len(TEXTS)
    shuffled = [TEXTS[at] for at in order]
    assert fast.embed_texts(shuffled).tobytes() == once[order].tobytes()
    assert open_embedder(threads=1).embed_texts(shuffled).tobytes() == once[order].tobytes()


@pytest.mark.model
def test_a_text_alone_has_nearly_the_vector_it_has_in_company(fast: Embedder) -> None:
    alone = np.concatenate([fast.embed_texts([text]) for text in TEXTS])
    assert (alone * fast.embed_texts(TEXTS)).sum(1).min() >= 0.999


@pytest.mark.model
def test_text_beyond_the_limit_is_cut(fast: Embedder) -> None:
    n = fast.describe().max_tokens
    exact, longer = "ship " * (n - 2), "ship " * (n - 2) + "entirely different words about tea"
    assert fast.describe().max_tokens == 256
    np.testing.assert_allclose(fast.embed_texts([longer]), fast.embed_texts([exact]), atol=1e-6)


@pytest.mark.model
@pytest.mark.parametrize("engine", ["int8", "reference"])
def test_progress_counts_every_text(engine: str) -> None:
    done: list[int] = []
    embedder = open_embedder(engine=engine)
    embedder.embed_texts([*TEXTS, *TEXTS], progress=done.append)
    assert done == sorted(set(done))
    assert done[-1] == 2 * len(TEXTS)
    assert embedder.embed_texts([]).shape == (0, 384)


@pytest.mark.model
def test_windows_do_not_show(fast: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fast.embed_texts(TEXTS)
    monkeypatch.setattr("moorings.subjects.embedders._WINDOW_TEXTS", 7)
    monkeypatch.setattr("moorings.subjects.embedders._WINDOW_CHARACTERS", 500)
    assert (fast.embed_texts(TEXTS) * whole).sum(1).min() >= 0.999


@pytest.mark.model
def test_torch_threads_of_the_caller_are_left_alone(fast: Embedder) -> None:
    import torch

    before = torch.get_num_threads()
    fast.embed_texts(["one"])
    assert torch.get_num_threads() == before


@pytest.mark.model
def test_fingerprint_depends_on_engine_not_on_the_way_of_opening(fast: Embedder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model_path("minilm"), copy)
    same = open_embedder(f"hf:{copy}", engine="int8", threads=1).describe()
    assert same.uri != fast.describe().uri
    assert same.fingerprint() == fast.describe().fingerprint()
    assert open_embedder(engine="reference").describe().fingerprint() != same.fingerprint()


@pytest.mark.model
def test_auto_takes_the_reference_where_int8_cannot_run(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model_path("minilm"), copy)
    pooling = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    write(copy / "1_Pooling" / "config.json", pooling)
    embedder = open_embedder(f"hf:{copy}")
    assert (embedder.describe().engine, embedder.describe().pooling) == ("reference", "cls")
    np.testing.assert_allclose(np.linalg.norm(embedder.embed_texts(["anchor"]), axis=1), 1.0, atol=1e-6)
    with pytest.raises(ConfigError, match="pooling is 'cls'"):
        open_embedder(f"hf:{copy}", engine="int8")


@pytest.mark.parametrize(
    ("uri", "settings", "message"),
    [
        ("bundled:minilm", {"engine": "referense"}, "did you mean 'reference'"),
        ("bundled:minilm", {"threads": 0}, "1 or more"),
        ("bundled:smollm2-135m", {}, "not an embedding model"),
        ("minilm", {}, "bundled:minilm"),
    ],
)
def test_unknown_names_are_refused(uri: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_embedder(uri, **settings)


def test_pickle_only_folder_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsafeFileError, match=r"pytorch_model\.bin"):
        open_embedder(f"hf:{folder}")


def test_foreign_module_is_refused(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    write(folder / "modules.json", [*modules, {"path": "3", "type": "os.system"}])
    with pytest.raises(UnsafeFileError, match="outside sentence_transformers"):
        open_embedder(f"hf:{folder}")


def test_unimplemented_steps_and_pooling_are_refused(folder: Path) -> None:
    write(folder / "1_Pooling" / "config.json", {"pooling_mode": ["mean", "max"], "embedding_dimension": 16})
    with pytest.raises(ModelFileError, match=r"pools by mean \+ max"):
        open_embedder(f"hf:{folder}")
    modules = json.loads((folder / "modules.json").read_text())
    write(folder / "modules.json", [*modules, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])
    with pytest.raises(ModelFileError, match="Dense"):
        open_embedder(f"hf:{folder}")
    (folder / "modules.json").unlink()
    with pytest.raises(ModelFileError, match=r"no modules\.json"):
        open_embedder(f"hf:{folder}")


@pytest.mark.parametrize(
    ("key", "value"), [("model_type", "mpnet"), ("hidden_act", "relu"), ("position_embedding_type", "relative_key")]
)
def test_int8_names_what_it_cannot_run(folder: Path, key: str, value: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, key: value})
    with pytest.raises(ConfigError, match=f"{key} '{value}'"):
        open_embedder(f"hf:{folder}", engine="int8")


def test_int8_product_does_not_saturate() -> None:
    import torch

    weight = torch.full((16, 64), 1.0)
    weight[1::2] *= -1
    x = torch.linspace(0, 1, 64).repeat(8, 1)
    x[0] = 1.0
    x[0, 0] = 0.0
    layer = Linear(weight, torch.zeros(16))
    torch.testing.assert_close(layer.int8(quantize_rows(x)), layer.fp32(x), rtol=0.01, atol=0.05)


@pytest.mark.parametrize("x", [[[0.0] * 8], [[3.0] * 8], [[-1.0, 2.0] * 4], [[1e-30] * 7 + [1e30]]])
def test_rows_survive_rounding_to_half_a_step(x: list[list[float]]) -> None:
    import torch

    rows = torch.tensor(x)
    found = quantize_rows(rows)
    back = found.q.float() * found.scale + found.low_and_one[:, :1]
    assert ((back - rows).abs() <= 0.51 * found.scale + 1e-6 * rows.abs().max()).all()


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(2, 300, 500).tolist()
    batches = list(plan_batches(lengths, budget=1024))
    assert sorted(row for batch in batches for row in batch.rows) == list(range(500))
    for batch in batches:
        some = [lengths[row] for row in batch.rows]
        assert len(some) * max(some) <= 1024
        assert min(some) >= 0.875 * max(some) - 2
        assert batch.int8 == (min(some) >= 24) == (max(some) >= 24)
