"""Fisher information against closed forms, the penalty against dense matrices, and two rounds of training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from defence_rounds import Rounds

from moorings.charter_run import Use
from moorings.errors import StorageError
from moorings.improve.defences.ewc import (
    Ewc,
    EwcConfig,
    _own_labels_log_p,
    fisher_diagonal,
    language_model_fisher,
    quadratic_penalty,
)
from moorings.improve.defences.lora import LoraFactors, lora_layers, product_change_squared
from moorings.improve.defences.tensors import unpack
from moorings.improve.training import TrainSession, defences


def linear(weights, x):
    return x @ weights["w"] + weights["b"]


def softmax_regression():
    generator = torch.Generator().manual_seed(0)
    weights = {"w": torch.randn(3, 4, generator=generator), "b": torch.randn(4, generator=generator)}
    return weights, torch.randn(50, 3, generator=generator)


def closed_form(weights, x):
    """Of softmax regression: E[x_i^2 p_k (1 - p_k)]."""
    p = torch.softmax(linear(weights, x), -1)
    v = p * (1 - p)
    return {"w": (x.square().T @ v) / len(x), "b": v.mean(0)}


def test_fisher_over_all_labels_is_exact() -> None:
    weights, x = softmax_regression()
    found = fisher_diagonal(linear, weights, x, rng=np.random.default_rng(0))
    for name, expected in closed_form(weights, x).items():
        torch.testing.assert_close(found[name], expected)


def test_fisher_from_sampled_labels_is_near_it() -> None:
    weights, x = softmax_regression()
    x = x.repeat(200, 1)
    found = fisher_diagonal(linear, weights, x, labels="sample", rng=np.random.default_rng(0))
    for name, expected in closed_form(weights, x).items():
        torch.testing.assert_close(found[name], expected, rtol=0.08, atol=0.003)


def test_quadratic_penalty_and_its_gradient() -> None:
    now = {"a": torch.tensor([1.0, 2.0], requires_grad=True)}
    total = quadratic_penalty(now, {"a": torch.tensor([0.0, 4.0])}, {"a": torch.tensor([3.0, 0.5])})
    assert float(total) == 3 + 0.5 * 4
    total.backward()
    assert now["a"].grad.tolist() == [6.0, -2.0]


def test_change_of_a_product_needs_no_dense_matrix() -> None:
    generator = torch.Generator().manual_seed(1)
    now = LoraFactors(torch.randn(2, 5, generator=generator), torch.randn(7, 2, generator=generator))
    then = LoraFactors(torch.randn(3, 5, generator=generator), torch.randn(7, 3, generator=generator))
    rows, columns = torch.rand(7, generator=generator), torch.rand(5, generator=generator)
    dense = torch.outer(rows, columns) / rows.sum() * (now.b @ now.a - then.b @ then.a).square()
    torch.testing.assert_close(product_change_squared(now, then, rows, columns), dense.sum())


def test_factors_that_change_while_their_product_stays_cost_nothing() -> None:
    now = LoraFactors(torch.eye(3) * 2, torch.eye(3) / 2)
    assert (
        float(product_change_squared(now, LoraFactors(torch.eye(3), torch.eye(3)), torch.ones(3), torch.ones(3))) == 0
    )


def test_fisher_of_merged_weights_matches_dense_gradients(session: TrainSession) -> None:
    """Slow reference: the gradient of the frozen weight below the adapter is that of the merged weight."""
    found = language_model_fisher(session, n_rows=1, seed=5)
    at = np.sort(np.random.default_rng([5, 0xF15]).choice(8, 1, replace=False))[0]
    layers = lora_layers(session.model)
    assert len(layers) == 4
    bases = {name: module.base_layer.weight.requires_grad_(True) for name, module in layers.items()}
    batch = session.encode([session.job.rows[int(at)]])
    log_p = _own_labels_log_p(session, batch, torch.Generator().manual_seed(5))
    for name, g in zip(bases, torch.autograd.grad(log_p, list(bases.values())), strict=True):
        torch.testing.assert_close(found[f"{name}.rows"], g.square().sum(1), rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(found[f"{name}.columns"], g.square().sum(0), rtol=1e-3, atol=1e-9)


def test_equal_seeds_give_equal_fisher_and_leave_the_model_alone(session: TrainSession) -> None:
    session.model.train()
    first, second = (language_model_fisher(session, n_rows=4, seed=1) for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert session.model.training
    assert all(value.grad is None for value in session.model.parameters())


def change(rounds: Rounds) -> float:
    """Squared change of the products between the first and the second round."""
    kept = [unpack((folder / "defences" / "ewc.safetensors").read_bytes(), "") for folder in rounds.past]
    names = [name[7:-2] for name in kept[0] if name.endswith(".a")]
    products = [{n: k[f"centre.{n}.b"] @ k[f"centre.{n}.a"] for n in names} for k in kept]
    return float(sum((products[1][n] - products[0][n]).square().sum() for n in names))


def test_a_strong_penalty_holds_the_second_round(rounds: Rounds, model, tmp_path) -> None:
    moved = {}
    for strength in (0.0, 1e8):
        some = Rounds(model, tmp_path / f"{strength}")
        first = some.train(Ewc(EwcConfig(strength=strength, n_rows=8)))
        assert "ewc.penalty" not in first.metrics
        second = some.train(Ewc(EwcConfig(strength=strength, n_rows=8)), job=some.job("No way"))
        assert second.metrics["ewc.penalty"] >= 0
        moved[strength] = change(some)
    assert moved[1e8] < 0.2 * moved[0.0]


def test_importance_adds_up_online(rounds: Rounds) -> None:
    kept = []
    for _ in range(2):
        rounds.train(Ewc(EwcConfig(gamma=1.0)))
        kept.append(unpack((rounds.past[-1] / "defences" / "ewc.safetensors").read_bytes(), ""))
    names = [name for name in kept[0] if name.startswith("fisher")]
    assert names
    assert all(bool((kept[1][name] >= kept[0][name]).all()) for name in names)


def test_full_weights_have_the_plain_diagonal(rounds: Rounds) -> None:
    rounds.train(Ewc(EwcConfig(n_rows=2)), mode="full")
    kept = unpack((rounds.past[-1] / "defences" / "ewc.safetensors").read_bytes(), "")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert kept[f"fisher.{name}"].shape == kept[f"centre.{name}"].shape
    assert rounds.train(Ewc(EwcConfig(n_rows=2)), mode="full").metrics["ewc.penalty"] > 0


def test_a_stopped_training_ends_alike(same_after_a_stop) -> None:
    same_after_a_stop(lambda: [Ewc(EwcConfig(n_rows=4))])


def test_a_damaged_file_is_refused(rounds: Rounds) -> None:
    rounds.train(Ewc(EwcConfig(n_rows=2)))
    (rounds.past[-1] / "defences" / "ewc.safetensors").write_bytes(b"no tensors")
    with pytest.raises(StorageError, match="not a safetensors file"):
        rounds.train(Ewc(EwcConfig()))


def test_it_is_registered() -> None:
    assert isinstance(defences.make(Use(use="ewc", strength=10.0)), Ewc)
