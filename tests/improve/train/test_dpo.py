"""DPO on policies small enough to enumerate, and on the tiny model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import make_job, make_rows, run

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.train.dpo import pair_losses
from moorings.improve.train.errors import TrainingError
from moorings.improve.training import trainers
from moorings.subjects.spec import SubjectSpec, open_subject

FORMS = [("sigmoid", 0.0), ("robust", 0.2), ("ipo", 0.0)]


def toy_loss(logits, reference, wins, beta: float, form: str, flip_rate: float):
    """Mean loss over all ordered pairs (a, b), weighted by how often a wins."""
    gain = torch.log_softmax(logits, -1) - torch.log_softmax(reference, -1)
    h = gain[:, None] - gain[None, :]
    return (wins * pair_losses(h, beta=beta, form=form, flip_rate=flip_rate)).sum()


def bradley_terry(rewards):
    wins = torch.sigmoid(rewards[:, None] - rewards[None, :])
    return wins * (1 - torch.eye(len(rewards)))


@pytest.mark.parametrize(("form", "flip_rate"), FORMS)
def test_gradient_agrees_with_finite_differences(form: str, flip_rate: float) -> None:
    rng = np.random.default_rng(0)
    logits, reference, rewards = (torch.tensor(rng.normal(size=5)) for _ in range(3))
    logits.requires_grad_()

    def loss(at):
        return toy_loss(at, reference, bradley_terry(rewards), 0.3, form, flip_rate)

    loss(logits).backward()
    step = 1e-6
    for at in range(5):
        bump = torch.zeros(5, dtype=torch.float64)
        bump[at] = step
        slope = (loss(logits.detach() + bump) - loss(logits.detach() - bump)) / (2 * step)
        assert float(logits.grad[at]) == pytest.approx(float(slope), abs=1e-6)


@pytest.mark.parametrize("flip_rate", [0.0, 0.25])
def test_recovers_the_tilted_reference(flip_rate: float) -> None:
    """pi ~ pi_ref exp(r / beta), also from flipped labels where their rate is known."""
    rng = np.random.default_rng(1)
    beta = 0.5
    reference, rewards = torch.tensor(rng.normal(size=6)), torch.tensor(rng.normal(size=6))
    wins = bradley_terry(rewards)
    seen = (1 - flip_rate) * wins + flip_rate * wins.T
    logits = reference.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = toy_loss(logits, reference, seen, beta, "robust" if flip_rate else "sigmoid", flip_rate)
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = torch.softmax(torch.log_softmax(reference, -1) + rewards / beta, -1)
    assert torch.allclose(torch.softmax(logits.detach(), -1), expected, atol=1e-5)


def test_robust_loss_is_unbiased_under_flips() -> None:
    h = torch.linspace(-3, 3, 13)
    robust = {sign: pair_losses(sign * h, beta=0.7, form="robust", flip_rate=0.3) for sign in (1, -1)}
    assert torch.allclose(0.7 * robust[1] + 0.3 * robust[-1], pair_losses(h, beta=0.7), atol=1e-6)
    assert torch.allclose(pair_losses(h, beta=0.7, form="robust"), pair_losses(h, beta=0.7))


def test_ipo_is_least_at_half_the_inverse_of_beta() -> None:
    h = torch.tensor([4.9, 5.0, 5.1])
    assert pair_losses(h, beta=0.1, form="ipo").argmin() == 1


def mean_logp(uri: str, rows, field: str) -> float:
    subject = open_subject(uri, engine="transformers", device="cpu", precision="fp32", threads=1)
    found = subject.score([(row.prompt, getattr(row, field)) for row in rows])
    return sum(sum(one.logprobs_nats) for one in found) / len(rows)


@pytest.mark.parametrize("form", ["sigmoid", "robust", "ipo"])
def test_prefers_the_chosen_responses(model: Path, tmp_path: Path, form: str) -> None:
    settings = {"form": form, "flip_rate": 0.1 if form == "robust" else 0.0, "epochs": 3, "dropout": 0.0}
    result = run("dpo", make_job(model, tmp_path), **settings, learning_rate=0.005)
    at_start = {"sigmoid": math.log(2), "robust": math.log(2), "ipo": 25.0}[form]
    first = run("dpo", make_job(model, tmp_path / "1"), **settings | {"epochs": 1}, max_steps=1)
    assert first.metrics["loss_start"] == pytest.approx(at_start, rel=1e-4)
    assert first.metrics["margin_start"] == pytest.approx(0.0, abs=1e-4)
    assert result.metrics["loss_end"] < at_start
    assert result.metrics["accuracy_end"] == 1.0
    rows = make_rows()
    gain = mean_logp(result.uri, rows, "response") - mean_logp(f"hf:{model}", rows, "response")
    loss = mean_logp(result.uri, rows, "rejected") - mean_logp(f"hf:{model}", rows, "rejected")
    assert gain > loss


def test_reference_is_the_start_adapter(model: Path, tmp_path: Path) -> None:
    first = run("sft", make_job(model, tmp_path / "1"), dropout=0.0)
    job = make_job(model, tmp_path / "2", start=SubjectSpec(uri=first.uri, device="cpu", threads=1))
    second = run("dpo", job, max_steps=1, dropout=0.0)
    assert second.metrics["loss_start"] == pytest.approx(math.log(2), rel=1e-4)


def test_weight_zero_rows_teach_nothing(model: Path, tmp_path: Path) -> None:
    rows = [row.model_copy(update={"weight": 0.0}) for row in make_rows(4)]
    result = run("dpo", make_job(model, tmp_path, rows), dropout=0.0)
    assert result.metrics["margin_end"] == pytest.approx(0.0, abs=1e-4)


def test_pairs_are_needed(model: Path, tmp_path: Path) -> None:
    rows = [row.model_copy(update={"rejected": None}) for row in make_rows(3)]
    with pytest.raises(TrainingError, match="3 rows given, none with a response and a rejected one"):
        run("dpo", make_job(model, tmp_path, rows))


def test_flip_rate_needs_the_robust_form() -> None:
    with pytest.raises(ConfigError, match=r"flip_rate=0\.1 has no meaning for form sigmoid"):
        trainers.make(Use(use="dpo", flip_rate=0.1))
