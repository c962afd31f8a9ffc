"""Divergences against torch's own, references that leave no trace, and what lwf and kl_anchor do to training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from defence_rounds import Rounds

from moorings.charter_run import Use
from moorings.errors import StorageError
from moorings.improve.defences.kl_anchor import KlAnchor, KlAnchorConfig
from moorings.improve.defences.lwf import LearningWithoutForgetting, LwfConfig, distillation
from moorings.improve.defences.reference import Reference, adapter_folder, divergence_nats, learned_positions
from moorings.improve.training import BaseDefence, TrainSession, defences
from moorings.subjects.spec import SubjectSpec


class Measure(BaseDefence):
    """Divergence of the result from round 0 on the rows."""

    def finish(self, session: TrainSession) -> None:
        reference = Reference(session, session.job.anchor)
        batch = session.encode(session.job.rows)
        mask = learned_positions(batch)
        with torch.no_grad():
            now = session.model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1][mask]
        session.metrics["from_anchor"] = float(divergence_nats(now, reference.logits(batch)[:, :-1][mask]).mean())
        reference.close()


def test_divergence_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    p, q = torch.randn(2, 6, 9, generator=generator)
    for tau in (1.0, 2.0):
        log_p, log_q = torch.log_softmax(p / tau, -1), torch.log_softmax(q / tau, -1)
        expected = torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
        torch.testing.assert_close(divergence_nats(p, q, tau=tau), expected)
        torch.testing.assert_close(distillation(p, q, tau=tau), tau**2 * expected)
    assert float(divergence_nats(p, p).abs().max()) < 1e-6


def test_distillation_does_not_train_the_old_model() -> None:
    old, new = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_().unbind()
    old.retain_grad()
    new.retain_grad()
    distillation(old, new).sum().backward()
    assert old.grad is None or float(old.grad.abs().max()) == 0
    assert float(new.grad.abs().max()) > 0


def test_adapter_folders_in_uris(tmp_path: Path) -> None:
    (tmp_path / "a+b").mkdir()
    assert adapter_folder("bundled:smollm2-135m") is None
    assert adapter_folder("bundled:smollm2-135m+runs/1") == Path("runs/1")
    assert adapter_folder(f"hf:{tmp_path}/a+b") is None


def test_reference_of_the_base_is_the_base_and_leaves_no_trace(session: TrainSession) -> None:
    batch = session.encode(session.job.rows[:3])
    with torch.no_grad():
        with_adapter = session.model(input_ids=batch["input_ids"]).logits
        with session.model.disable_adapter():
            base = session.model(input_ids=batch["input_ids"]).logits
    for value in list(session.model.parameters())[:1]:
        value.requires_grad_(False)
    session.model.train()
    frozen = next(value for name, value in session.model.named_parameters() if "lora_A" in name)
    frozen.requires_grad_(False)
    flags = {name: value.requires_grad for name, value in session.model.named_parameters()}
    reference = Reference(session, session.job.anchor)
    assert torch.equal(reference.logits(batch), base)
    assert not reference.logits(batch).requires_grad
    assert {name: value.requires_grad for name, value in session.model.named_parameters()} == flags
    assert session.model.training
    session.model.eval()
    assert torch.equal(session.model(input_ids=batch["input_ids"]).logits, with_adapter)


def test_reference_of_an_adapter_stands_beside_the_trained_one(session: TrainSession, tmp_path: Path) -> None:
    session.model.save_pretrained(tmp_path / "adapter")
    batch = session.encode(session.job.rows[:3])
    session.model.eval()
    with torch.no_grad():
        expected = session.model(input_ids=batch["input_ids"]).logits
        for name, value in session.model.named_parameters():
            if "lora_B" in name:
                value.mul_(-1)
        changed = session.model(input_ids=batch["input_ids"]).logits
    names = [name for name, _ in session.model.named_parameters()]
    reference = Reference(session, SubjectSpec(uri=f"{session.job.anchor.uri}+{tmp_path / 'adapter'}"))
    torch.testing.assert_close(reference.logits(batch), expected)
    with torch.no_grad():
        assert torch.equal(session.model(input_ids=batch["input_ids"]).logits, changed)
    reference.close()
    assert [name for name, _ in session.model.named_parameters()] == names
    assert all(value.requires_grad == ("lora_" in name) for name, value in session.model.named_parameters())


def test_full_weights_have_a_frozen_copy(rounds: Rounds) -> None:
    result = rounds.train(KlAnchor(KlAnchorConfig(beta=1.0)), Measure(), mode="full", max_steps=2)
    assert result.metrics["from_anchor"] > 0
    assert result.metrics["kl_anchor.nats"] >= 0


@pytest.mark.parametrize(
    "make", [lambda s: KlAnchor(KlAnchorConfig(beta=s)), lambda s: LearningWithoutForgetting(LwfConfig(strength=s))]
)
def test_a_leash_holds(model: Path, tmp_path: Path, make: Callable) -> None:
    moved = {}
    for strength in (0.0, 3.0):
        some = Rounds(model, tmp_path / f"{strength}")
        moved[strength] = some.train(make(strength), Measure()).metrics["from_anchor"]
    assert moved[3.0] < 0.6 * moved[0.0]


def test_lwf_yields_to_each_round_where_the_anchor_does_not(model: Path, tmp_path: Path) -> None:
    found = {}
    for name, one in (
        ("lwf", lambda: LearningWithoutForgetting(LwfConfig(strength=1.0, tau=1.0))),
        ("kl", lambda: KlAnchor(KlAnchorConfig(beta=1.0))),
    ):
        some = Rounds(model, tmp_path / name)
        for answer in ("Yes", "No", "Perhaps"):
            found[name] = some.train(one(), Measure(), job=some.job(answer)).metrics["from_anchor"]
    assert found["kl"] < found["lwf"]


def test_prompt_positions_can_be_held_too(rounds: Rounds) -> None:
    result = rounds.train(LearningWithoutForgetting(LwfConfig(where="all")))
    assert result.metrics["lwf.nats"] >= 0
    assert not list(rounds.past[-1].glob("reference*"))


def test_beta_rises_while_the_divergence_is_above_its_target(rounds: Rounds) -> None:
    result = rounds.train(KlAnchor(KlAnchorConfig(beta=0.1, target=1e-9)), epochs=4)
    # The first steps stand where round 0 stood, so their divergence is 0 or nearly so.
    assert 0.1 * 0.98**2 < result.metrics["kl_anchor.beta"] <= 0.1 * 1.02**8


@pytest.mark.parametrize(
    "make",
    [
        lambda: [KlAnchor(KlAnchorConfig(target=0.01))],
        lambda: [LearningWithoutForgetting(LwfConfig())],
    ],
)
def test_a_stopped_training_ends_alike(same_after_a_stop, make: Callable) -> None:
    same_after_a_stop(make)


def test_a_beta_that_was_not_kept_is_missed(rounds: Rounds, session: TrainSession) -> None:
    one = KlAnchor(KlAnchorConfig(target=0.1))
    session.step = 7
    one.start(session)
    batch = session.encode(session.job.rows[:2])
    with pytest.raises(StorageError, match=r"kept no state of step 7 .* keep_states"):
        one.penalty(replace(session, step=7), batch, session.model(input_ids=batch["input_ids"]))


def test_nothing_is_added_before_the_start(session: TrainSession) -> None:
    assert KlAnchor(KlAnchorConfig()).penalty(session, {}, None) is None
    assert LearningWithoutForgetting(LwfConfig()).penalty(session, {}, None) is None


def test_they_are_registered() -> None:
    assert isinstance(defences.make(Use(use="lwf")), LearningWithoutForgetting)
    assert isinstance(defences.make(Use(use="kl_anchor")), KlAnchor)
