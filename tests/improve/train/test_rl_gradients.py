"""Losses on a model whose answers can all be listed: their expected gradients are those of the exact objective.

The model has five tokens, of which 0 ends an answer, and answers have at most two: 21 in all. All pairs of answers, each
weighted by its probability, stand for the expectation over groups of two.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from tiny_rl import Sum, SumConfig
from transformers import GPT2Config, GPT2LMHeadModel

from moorings.improve.objectives.objective import Batch
from moorings.improve.train.encode import Encoded, collate
from moorings.improve.train.forward import predict
from moorings.improve.train.grpo import Grpo
from moorings.improve.train.ppo import Ppo, PpoSettings, gae
from moorings.improve.train.rl_batch import Answers, Part, clipped, k3, mean_of
from moorings.improve.train.rl_reference import Reference, logits_at
from moorings.improve.train.rloo import Rloo
from moorings.improve.train.rollout import sample_answers

PROMPT = (1, 3)
SEQUENCES = [(0,), *((a, b) for a in range(1, 5) for b in range(5))]
REWARD = np.random.default_rng(3).normal(size=(2, len(SEQUENCES)))


@cache
def toy(seed: int) -> GPT2LMHeadModel:
    """A random two-layer GPT-2 in double precision."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = GPT2Config(vocab_size=5, n_positions=8, n_embd=8, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=0)
        config.initializer_range = 0.5
        return GPT2LMHeadModel(config).double().eval()


def encoded(answers) -> list[Encoded]:
    return [Encoded((*PROMPT, *answer), len(PROMPT)) for answer in answers]


def forward(model, answers):
    """ln pi of each token, and its answer."""
    found = predict(model, model.get_output_embeddings(), collate(encoded(answers), 4, "cpu"))
    return found.logp, found.owner


def whole(logp, owner, n: int):
    return torch.zeros(n, dtype=logp.dtype).index_add(0, owner, logp)


def gradient(value, model) -> torch.Tensor:
    return torch.cat([g.ravel() for g in torch.autograd.grad(value, list(model.parameters()))])


def exact(model, reward: np.ndarray, beta: float) -> torch.Tensor:
    """Gradient of E[R] - beta KL, by listing all answers."""
    logp = whole(*forward(model, SEQUENCES), len(SEQUENCES))
    with torch.no_grad():
        ref = whole(*forward(toy(1), SEQUENCES), len(SEQUENCES))
    p = logp.exp()
    assert float(p.detach().sum()) == pytest.approx(1.0)
    return gradient((p * (torch.tensor(reward) - beta * (logp - ref))).sum(), model)


def expected(model, algorithm, beta: float, n_rewards: int = 1):
    """Gradient of the algorithm's loss over all pairs of answers, times the number of pairs."""
    algorithm.open(model.config.n_embd, n_rewards, "cpu")
    return gradient(loss_of_pairs(model, algorithm, beta, n_rewards), model)


def loss_of_pairs(model, algorithm, beta: float, n_rewards: int = 1):
    pairs = list(itertools.product(range(len(SEQUENCES)), repeat=2))
    flat = [at for pair in pairs for at in pair]
    logp, owner = forward(model, [SEQUENCES[at] for at in flat])
    with torch.no_grad():
        ref, _ = forward(toy(1), [SEQUENCES[at] for at in flat])
        each = whole(*forward(model, SEQUENCES), len(SEQUENCES))
    probability = np.exp([float(each[a] + each[b]) for a, b in pairs])
    gap = whole((logp - ref).detach(), owner, len(flat)).numpy().reshape(-1, 2)
    batch = Batch(REWARD[:n_rewards, flat].reshape(n_rewards, -1, 2), ("a", "b")[:n_rewards], gap)
    weights = torch.tensor(np.repeat(probability, 2) * len(pairs))
    # What the value heads see depends on what came before a token, not on the token.
    states = torch.randn(5, model.config.n_embd, generator=torch.Generator().manual_seed(0))
    hidden = states[[(0, *SEQUENCES[at])[t] for at in flat for t in range(len(SEQUENCES[at]))]]
    answers = Answers(encoded([SEQUENCES[at] for at in flat]), batch, logp.detach(), ref, hidden, weights)
    credit = algorithm.credit(answers, Sum(SumConfig()), beta)
    lengths = torch.tensor(answers.lengths)
    part = Part(logp, logp.detach(), ref, credit.tokens, owner, lengths, weights, len(flat), len(logp))
    return algorithm.loss(part, beta).value


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("n_rewards", [1, 2])
def test_rloo_is_the_exact_policy_gradient(beta: float, n_rewards: int) -> None:
    found = -expected(toy(0), Rloo(0.2), beta, n_rewards)
    wanted = exact(toy(0), REWARD[:n_rewards].sum(axis=0), beta)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_grpo_without_scaling_is_the_exact_policy_gradient() -> None:
    found = -expected(toy(0), Grpo(clip=0.2, scale="none", mean="constant", length=2), 0.0)
    torch.testing.assert_close(found * 2 * 2, exact(toy(0), REWARD[0], 0.0), rtol=1e-4, atol=1e-6)


def test_k3_in_the_loss_pulls_by_the_forward_divergence() -> None:
    model = toy(0)
    plain = expected(model, Grpo(clip=0.2, scale="none", mean="constant", length=2), 0.0)
    found = expected(model, Grpo(clip=0.2, scale="none", mean="constant", length=2), 0.7) - plain
    batch = collate(encoded(SEQUENCES), 4, "cpu")
    logits = logits_at(model, batch, None).double().log_softmax(-1)
    with torch.no_grad():
        ref = logits_at(toy(1), batch, None).double().log_softmax(-1)
        logp, owner = forward(model, SEQUENCES)
        p = whole(logp, owner, len(SEQUENCES)).exp()
    forward_kl = (ref.exp() * (ref - logits)).sum(-1)
    wanted = gradient((p[owner] * forward_kl).sum(), model) * 0.7 / 2
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value_heads", ["joined", "each"])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_ppo_is_the_exact_policy_gradient_whatever_the_values_say(value_heads: str, weight: float) -> None:
    model = toy(0)
    settings = {"gae_lambda": 1.0, "whiten": False, "value_heads": value_heads}
    config = PpoSettings(rewards=[{"use": "test_letters", "letters": "e"}], **settings)
    algorithm = Ppo(config)
    own = algorithm.open(model.config.n_embd, 2, "cpu")
    for one in own.values():
        one.data = weight * torch.sin(torch.arange(one.numel())).reshape(one.shape)
    loss = loss_of_pairs(model, algorithm, 0.3, 2)
    pairs = len(SEQUENCES) ** 2
    n_tokens = 2 * len(SEQUENCES) * sum(len(answer) for answer in SEQUENCES)
    found = -gradient(loss, model) * n_tokens / (2 * pairs)
    wanted = exact(model, REWARD.sum(axis=0), 0.3)
    # With a head a reward, all tokens are one group, whose size n comes in as n / (n - 1).
    far = 1e-5 if value_heads == "joined" else 1.5 / n_tokens
    assert float((found - wanted).norm()) < far * float(wanted.norm())


def test_means_of_tokens() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 5.0])
    owner, lengths = torch.tensor([0, 0, 0, 1]), torch.tensor([3, 1])
    part = Part(values, values, values, values, owner, lengths, torch.tensor([1.0, 0.5]), 2, 4)
    assert float(mean_of(values, part, "sequence", 8)) == pytest.approx((2.0 + 2.5) / 2)
    assert float(mean_of(values, part, "token", 8)) == pytest.approx((6.0 + 2.5) / 4)
    assert float(mean_of(values, part, "constant", 8)) == pytest.approx((6.0 + 2.5) / 16)


def test_group_deviations_are_those_of_the_paper() -> None:
    rewards = np.array([[[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]]])
    batch = Batch(rewards, ("a",), np.zeros((2, 3)))
    answers = Answers(encoded([(0,)] * 6), batch, torch.zeros(6), torch.zeros(6), None, torch.ones(6))
    found = Grpo(clip=0.2, scale="group", mean="token", length=2).credit(answers, Sum(SumConfig()), 0.0)
    wanted = (rewards[0, 0] - 3) / (rewards[0, 0].std(ddof=1) + 1e-4)
    np.testing.assert_allclose(found.tokens.numpy(), [*wanted, 0, 0, 0], rtol=1e-3)
    spread = Grpo(clip=0.2, scale="batch", mean="token", length=2).credit(answers, Sum(SumConfig()), 0.0).tokens
    assert float(spread.std()) == pytest.approx(1.0, rel=1e-3)


def test_clip_holds_gains_and_not_losses() -> None:
    log_ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.0]).log()
    loss, held = clipped(log_ratio, torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0]), 0.2)
    torch.testing.assert_close(loss, torch.tensor([-1.2, 1.5, -0.5, 0.8, -2.0]))
    assert held.tolist() == [True, False, False, True, False]


def test_gae_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    lengths, gamma, lam = [3, 1, 4], 0.9, 0.7
    rewards, values = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    found = gae(torch.tensor(rewards).float(), torch.tensor(values).float(), lengths, gamma=gamma, lam=lam).numpy()
    wanted = []
    for at, n in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
        r, v = rewards[at : at + n], np.vstack([values[at : at + n], np.zeros((1, 2))])
        delta = r + gamma * v[1:] - v[:-1]
        wanted += [sum((gamma * lam) ** (u - t) * delta[u] for u in range(t, n)) for t in range(n)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_estimators_of_the_divergence_agree_in_expectation() -> None:
    model = toy(0)
    with torch.no_grad():
        logp, owner = forward(model, SEQUENCES)
        ref, _ = forward(toy(1), SEQUENCES)
        batch = collate(encoded(SEQUENCES), 4, "cpu")
        own, other = (logits_at(one, batch, None).double().log_softmax(-1) for one in (model, toy(1)))
    p = whole(logp, owner, len(SEQUENCES)).exp()
    k1 = float((p * whole(logp - ref, owner, len(p))).sum())
    tokens = (own.exp() * (own - other)).sum(-1)
    assert float((p * whole(tokens, owner, len(p))).sum()) == pytest.approx(k1, rel=1e-5)
    assert float((p * whole(k3(logp, ref), owner, len(p))).sum()) == pytest.approx(k1, rel=1e-5)
    assert bool((k3(logp, ref) >= 0).all())


def test_sampling_follows_the_model_and_knows_its_log_probabilities() -> None:
    model, n = toy(0), 4000
    draws = np.random.default_rng(5).random((n, 2))
    found = sample_answers(model, [PROMPT], draws, [0], at_once=n)
    with torch.no_grad():
        p = whole(*forward(model, SEQUENCES), len(SEQUENCES)).exp().numpy()
    counts = np.array([sum(one.ids == answer for one in found) for answer in SEQUENCES])
    assert counts.sum() == n
    assert float(((counts - n * p) ** 2 / (n * p)).sum()) < 50.0  # chi-square, 20 degrees: p < 0.001 above 45
    logp, _ = forward(model, [one.ids for one in found[:50]])
    torch.testing.assert_close(torch.cat([one.logp for one in found[:50]]), logp.detach().float(), rtol=1e-5, atol=1e-6)
    assert all(one.ended == (one.ids[-1] == 0) for one in found)
    assert sample_answers(model, [PROMPT], draws[:8], [0], at_once=1)[3].ids == found[3].ids


def test_reference_reads_the_sampled_states_through_the_head() -> None:
    model = toy(0)
    found = sample_answers(model, [PROMPT, (2, 2, 4)], np.random.default_rng(1).random((12, 3)), [0], at_once=6)
    prompts = [PROMPT] * 6 + [(2, 2, 4)] * 6
    answers = [Encoded((*q, *one.ids), len(q)) for q, one in zip(prompts, found, strict=True)]
    kept = [weight.detach().clone() for weight in model.parameters()]
    for shared in (True, False):
        reference = Reference(model, fresh=False, shared_head=shared)
        head = {id(weight) for weight in model.get_output_embeddings().parameters()}
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if not (shared and id(weight) in head):
                    weight.add_(0.1 * torch.sin(torch.arange(weight.numel()).reshape(weight.shape) + len(name)))
        later = sample_answers(model, [PROMPT, (2, 2, 4)], np.random.default_rng(1).random((12, 3)), [0], at_once=6)
        moved = [Encoded((*q, *one.ids), len(q)) for q, one in zip(prompts, later, strict=True)]
        measured = reference.measure(moved, [one.hidden.double() for one in later], 4, exact=True)
        with torch.no_grad():
            own = [logits_at(model, collate([one], 4, "cpu"), None).log_softmax(-1) for one in moved]
            for weight, old in zip(model.parameters(), kept, strict=True):
                weight.copy_(old)
            ref = [logits_at(model, collate([one], 4, "cpu"), None).log_softmax(-1) for one in moved]
        kl = torch.cat([(a.exp() * (a - b)).sum(-1) for a, b in zip(own, ref, strict=True)])
        torch.testing.assert_close(measured.kl.float(), kl.float(), rtol=1e-3, atol=1e-5)
        assert float(kl.mean()) > 1e-3
    assert len(answers) == 12
