"""Synaptic intelligence and variational learning: identities, held rounds, exact resume."""

from __future__ import annotations

import math

import pytest
import torch
from defence_rounds import Rounds

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.defences.synaptic_intelligence import PathIntegral, SiConfig, SynapticIntelligence
from moorings.improve.defences.tensors import trained, unpack
from moorings.improve.defences.variational import Variational, VariationalConfig, draw_weights, gaussian_kl
from moorings.improve.training import TrainSession, defences


def test_the_path_integral_is_the_fall_of_the_loss() -> None:
    """Along a fine path of a quadratic, omega adds up to the loss that each weight took away."""
    curvature, w = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([2.0, -1.0, 5.0])
    first, path = w.clone(), PathIntegral({"w": w})
    for _ in range(4000):
        g = curvature * w
        w = w - 1e-3 * g
        path.add({"w": g}, {"w": w})
    fallen = 0.5 * curvature * (first.square() - w.square())
    omega = path.state()["w"]
    torch.testing.assert_close(omega, fallen, rtol=5e-3, atol=1e-6)
    expected = fallen / ((w - first).square() + 0.1)
    torch.testing.assert_close(path.importance()["w"], expected, rtol=5e-3, atol=1e-6)
    torch.testing.assert_close(path.importance({"w": torch.ones(3)})["w"], path.importance()["w"] + 1)


def test_steps_uphill_count_as_nothing() -> None:
    path = PathIntegral({"w": torch.zeros(1)})
    path.add({"w": torch.ones(1)}, {"w": torch.ones(1)})
    assert path.importance()["w"].tolist() == [0.0]


def test_a_path_is_taken_up() -> None:
    path, other = PathIntegral({"w": torch.zeros(2)}), PathIntegral({"w": torch.zeros(2)})
    path.add({"w": torch.ones(2)}, {"w": -torch.ones(2)})
    other.restore(path.state(), {"w": -torch.ones(2)})
    for some in (path, other):
        some.add({"w": torch.ones(2)}, {"w": torch.full((2,), -3.0)})
    assert torch.equal(path.importance()["w"], other.importance()["w"])


def test_gaussian_kl_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    m, s, m0, s0 = torch.randn(4, 5, 3, generator=generator)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(m, s.exp()), torch.distributions.Normal(m0, s0.exp())
    ).sum()
    torch.testing.assert_close(gaussian_kl({"w": m}, {"w": s}, {"w": m0}, {"w": s0}), expected)
    assert float(gaussian_kl({"w": m}, {"w": s}, {"w": m}, {"w": s})) == pytest.approx(0, abs=1e-5)


def test_drawn_weights_have_the_stated_spread_and_pass_gradients() -> None:
    mean = {"w": torch.full((20_000,), 3.0, requires_grad=True)}
    log_std = {"w": torch.full((20_000,), math.log(0.5), requires_grad=True)}
    drawn = draw_weights(mean, log_std, torch.Generator().manual_seed(0))["w"]
    assert float(drawn.mean()) == pytest.approx(3.0, abs=5 * 0.5 / 20_000**0.5)
    assert float(drawn.std()) == pytest.approx(0.5, rel=5 / 40_000**0.5)
    drawn.sum().backward()
    assert float(mean["w"].grad.min()) == 1.0
    torch.testing.assert_close(log_std["w"].grad, drawn.detach() - 3.0)


@pytest.mark.parametrize(
    ("weak", "strong"),
    [
        (lambda: SynapticIntelligence(SiConfig(c=0.0)), lambda: SynapticIntelligence(SiConfig(c=1e3))),
        (
            lambda: Variational(VariationalConfig(kl_weight=0.0)),
            lambda: Variational(VariationalConfig(kl_weight=1e3, prior_std=1e-2)),
        ),
    ],
)
def test_a_strong_penalty_holds_the_second_round(model, tmp_path, weak, strong) -> None:
    moved = []
    for at, make in enumerate((weak, strong)):
        some = Rounds(model, tmp_path / str(at))
        some.train(make())
        some.train(make(), job=some.job("No way"))
        kept = [unpack((folder / "adapter_model.safetensors").read_bytes(), "adapter") for folder in some.past]
        moved.append(float(sum((kept[1][name] - kept[0][name]).square().sum() for name in kept[0])))
    assert moved[1] < 0.5 * moved[0]


@pytest.mark.parametrize(
    "make", [lambda: [SynapticIntelligence(SiConfig(c=1.0))], lambda: [Variational(VariationalConfig())]]
)
def test_a_stopped_training_ends_alike(same_after_a_stop, make) -> None:
    same_after_a_stop(make)


def test_variational_penalty_is_the_bound_less_the_loss_at_the_means(session: TrainSession) -> None:
    one = Variational(VariationalConfig(kl_weight=0.5, prior_std=0.2, initial_std=0.05))
    one.start(session)
    batch = session.encode(session.job.rows[:2])
    session.model.eval()
    output = session.model(input_ids=batch["input_ids"])
    penalty = one.penalty(session, batch, output)
    means = trained(session.model)
    n = sum(value.numel() for value in means.values())
    kl = n * 0.5 * ((0.05 / 0.2) ** 2 - 1 - 2 * math.log(0.05 / 0.2))
    assert session.metrics["variational.kl_nats"] == pytest.approx(kl, rel=1e-4)
    mask = batch["labels"][:, 1:] != -100
    labels = batch["labels"][:, 1:][mask]
    seed = session.job.seed * 1_000_003 * 1_009
    drawn = draw_weights(
        means,
        {name: torch.full_like(value, math.log(0.05)) for name, value in means.items()},
        torch.Generator().manual_seed(seed),
    )
    with torch.no_grad():
        for name, value in means.items():
            value.copy_(drawn[name])
        at_drawn = session.model(input_ids=batch["input_ids"]).logits
    losses = [torch.nn.functional.cross_entropy(z[:, :-1][mask], labels) for z in (at_drawn, output.logits)]
    n_learned = sum(int((session.encode([row])["labels"] != -100).sum()) for row in session.job.rows)
    expected = losses[0] - losses[1] + 0.5 * kl / n_learned
    assert float(penalty.detach()) == pytest.approx(float(expected.detach()), rel=1e-3)


def test_variational_refuses_several_processes(session: TrainSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(ConfigError, match="one process only"):
        Variational(VariationalConfig()).start(session)


def test_own_penalty_is_no_part_of_the_path(session: TrainSession) -> None:
    """With nothing but the penalty as gradient, the path gathers nothing."""
    one = SynapticIntelligence(SiConfig(c=2.0))
    one.start(session)
    parameters = trained(session.model)
    one._centre = {name: value.detach() + 0.1 for name, value in parameters.items()}
    one._importance = {name: torch.ones_like(value) for name, value in parameters.items()}
    one.penalty(session, {}, None).backward()
    with torch.no_grad():
        for value in parameters.values():
            value.sub_(0.01 * value.grad)
    session.step = 1
    assert not one.should_stop(session)
    one.finish(session)
    assert max(float(v.abs().max()) for v in one._path.state().values()) < 1e-6


def test_they_are_registered() -> None:
    assert isinstance(defences.make(Use(use="synaptic_intelligence")), SynapticIntelligence)
    assert isinstance(defences.make(Use(use="variational")), Variational)
