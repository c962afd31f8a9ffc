"""Stacked columns join exactly; routed ones forget nothing."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from defence_rounds import Rounds
from safetensors.torch import load_file

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.defences import columns as module
from moorings.improve.defences.columns import Columns, ColumnsConfig, make_column, routed_uri, training_start
from moorings.improve.defences.ewc import Ewc, EwcConfig
from moorings.improve.defences.kl_anchor import KlAnchor, KlAnchorConfig
from moorings.improve.defences.lwf import LearningWithoutForgetting, LwfConfig
from moorings.improve.defences.synaptic_intelligence import SiConfig, SynapticIntelligence
from moorings.improve.training import defences
from moorings.records import Decoding, Message, Request
from moorings.subjects import routed
from moorings.subjects.routed import read_table
from moorings.subjects.spec import SubjectSpec, open_subject


class LettersEmbedder:
    """Unit rows from counts of letters; enough to tell prompts apart."""

    def embed_texts(self, texts):
        counts = np.array([[1 + text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorings.subjects.embedders.open_embedder", lambda *_, **__: LettersEmbedder())
    monkeypatch.setattr(routed, "open_embedder", lambda *_, **__: LettersEmbedder())


def adapter(folder: Path) -> tuple[dict[str, torch.Tensor], float]:
    config = json.loads((folder / "adapter_config.json").read_text())
    return load_file(folder / "adapter_model.safetensors"), config["lora_alpha"] / config["r"]


def products(folder: Path) -> dict[str, torch.Tensor]:
    tensors, scale = adapter(folder)
    names = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    return {n: scale * tensors[f"{n}.lora_B.weight"] @ tensors[f"{n}.lora_A.weight"] for n in names}


def test_old_factors_stay_in_the_joined_adapter_bit_by_bit(rounds: Rounds) -> None:
    for _ in range(3):
        rounds.train(Columns(ColumnsConfig(r=2)))
    kept = [adapter(folder) for folder in rounds.past]
    assert [some["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"].shape[0] for some, _ in kept] == [
        4,
        6,
        8,
    ]
    assert [scale for _, scale in kept] == [8.0, 1.0, 1.0]
    for (old, scale), (new, _) in itertools.pairwise(kept):
        for name, value in old.items():
            if "lora_A" in name:
                assert torch.equal(new[name][: len(value)], value * scale)
            else:
                assert torch.equal(new[name][:, : value.shape[1]], value)
    assert any(bool((products(rounds.past[1])[n] != value).any()) for n, value in products(rounds.past[0]).items())
    assert not list(rounds.past[-1].glob("past*"))


def test_only_the_new_column_is_trained(rounds: Rounds) -> None:
    rounds.train(Columns(ColumnsConfig()))
    seen = {}

    class Look(Columns):
        def penalty(self, session, batch, output):
            seen.update({name: value.requires_grad for name, value in session.model.named_parameters()})
            return None

    rounds.train(Look(ColumnsConfig(r=3)), KlAnchor(KlAnchorConfig()))
    trained = {name for name, flag in seen.items() if flag}
    assert trained
    assert all(".default." in name for name in trained)
    assert any(".past." in name for name in seen)


def test_a_stopped_training_ends_alike(same_after_a_stop) -> None:
    same_after_a_stop(lambda: [Columns(ColumnsConfig())])


def overlap(folder: Path, r_old: int) -> float:
    tensors, _ = adapter(folder)
    return float(sum((a[:r_old] @ a[r_old:].T).abs().sum() for name, a in tensors.items() if "lora_A" in name))


def test_orthogonal_columns_overlap_less(model: Path, tmp_path: Path) -> None:
    found = {}
    for strength in (0.0, 10.0):
        some = Rounds(model, tmp_path / f"{strength}")
        for _ in range(2):
            some.train(Columns(ColumnsConfig(orthogonal=strength)))
        found[strength] = overlap(some.past[-1], 4)
    assert found[10.0] < 0.75 * found[0.0]


def test_full_weights_have_no_columns(rounds: Rounds) -> None:
    with pytest.raises(ConfigError, match="needs adapters"):
        rounds.train(Columns(ColumnsConfig()), mode="full")


def test_columns_come_first(rounds: Rounds) -> None:
    with pytest.raises(ConfigError, match="must come first"):
        rounds.train(KlAnchor(KlAnchorConfig()), Columns(ColumnsConfig()))


def test_stacked_columns_with_others(rounds: Rounds) -> None:
    """Everything at once, over three rounds; the references of lwf and the columns are adapters side by side."""
    for _ in range(3):
        result = rounds.train(
            Columns(ColumnsConfig(r=2)),
            LearningWithoutForgetting(LwfConfig()),
            KlAnchor(KlAnchorConfig()),
            Ewc(EwcConfig(n_rows=2)),
            SynapticIntelligence(SiConfig()),
        )
    assert {"lwf.nats", "kl_anchor.nats", "ewc.penalty"} <= result.metrics.keys()
    tensors, _ = adapter(rounds.past[-1])
    assert {a.shape[0] for name, a in tensors.items() if "lora_A" in name} == {8}
    assert sorted(path.name for path in rounds.past[-1].iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "defences",
    ]


def prompted(job, word: str):
    rows = [
        row.model_copy(update={"prompt": (Message(role="user", content=f"{word} {i}"),)})
        for i, row in enumerate(job.rows)
    ]
    return replace(job, rows=rows)


def ask(uri: str, words: list[str]) -> list[str]:
    subject = open_subject(SubjectSpec(uri=uri, engine="transformers", device="cpu", threads=1))
    requests = [
        Request(request_id=f"{n}", messages=(Message(role="user", content=f"{word} 1"),), seed=0)
        for n, word in enumerate(words)
    ]
    answers = {a.request_id: a.text for a in subject.generate(requests, Decoding(max_new_tokens=6, temperature=0.0))}
    subject.close()
    return [answers[request.request_id] for request in requests]


@pytest.mark.slow
def test_routed_columns_forget_nothing(rounds: Rounds, letters: None) -> None:
    words = ["aaaa", "bbbb", "cccc"]
    first, uris = [], []
    for word in words:
        one = Columns(ColumnsConfig(use_as="routed"))
        start = training_start(SubjectSpec(uri=uris[-1])) if uris else rounds.anchor
        job = prompted(rounds.job(word.upper()), word)
        job = replace(job, start=job.anchor.model_copy(update={"uri": start.uri}))
        result = rounds.train(one, job=job, epochs=6)
        uris.append(routed_uri(rounds.past[-1]))
        first.append(ask(result.uri, [word])[0])
        assert result.metrics["columns.n"] == len(uris)
    assert ask(uris[-1], words) == first
    assert ask(uris[-1], ["zzzz"]) == ask(rounds.anchor.uri, ["zzzz"])
    table = read_table(rounds.past[-1] / "defences" / "columns.json")
    assert [column.adapter for column in table.columns] == ["../../out1", "../../out2", ".."]


def test_a_routed_column_starts_from_round_0(rounds: Rounds, letters: None) -> None:
    rounds.train(Columns(ColumnsConfig()))
    with pytest.raises(ConfigError, match="starts from round 0"):
        rounds.train(Columns(ColumnsConfig(use_as="routed")))


def test_a_column_answers_what_is_like_its_own_prompts() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)) * 0.2 + [2, 0, 0, 0, 0]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    column = make_column("..", x[:200], width=4.0)
    assert np.linalg.norm(column.centroid) == pytest.approx(1)
    cosine = x[:200] @ np.array(column.centroid)
    assert column.least == pytest.approx(cosine.mean() - 4 * cosine.std() - 2e-3)
    assert float(np.mean(x[200:] @ np.array(column.centroid) >= column.least)) >= 0.98
    assert np.eye(5)[1] @ np.array(column.centroid) < column.least


def test_a_result_without_a_table_has_no_routed_uri(tmp_path: Path) -> None:
    assert routed_uri(tmp_path) is None
    assert training_start(SubjectSpec(uri="scripted:echo")).uri == "scripted:echo"


def test_it_is_registered() -> None:
    assert isinstance(defences.make(Use(use="columns")), Columns)
    assert module.prompt_texts([]) == []
