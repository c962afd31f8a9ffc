"""Continual learning on scikit-learn's digits: tasks in sequence, one method at a time, the whole matrix of accuracies.

All seeds, and all strengths of a sweep, are trained side by side: weights and batches have a first axis of members, which
have nothing to do with each other. Losses are sums over members, so each gets its own gradients, and Adam acts on
each weight alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from moorings.improve.defences.ewc import fisher_diagonal, quadratic_penalty
from moorings.improve.defences.lwf import distillation
from moorings.improve.defences.synaptic_intelligence import PathIntegral
from moorings.improve.defences.variational import draw_weights, gaussian_kl

N_TASKS, WIDTH, N_CLASSES = 5, 100, 10
FISHER_ROWS = 100
Weights = dict[str, torch.Tensor]


class Task(NamedTuple):
    """One task's images and labels, for training and for its score."""

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor


@dataclass(frozen=True)
class Scenario:
    """What changes from task to task, and whether the model is told which task it is."""

    name: str
    tasks: str
    """`split`: two digits a task; `permuted`: all digits, the pixels shuffled anew."""
    heads: str
    """`own`: a head a task, and the task is told; `one`: a single head and no hint."""
    n_steps: int
    batch: int
    rate: float

    def head(self, task: int) -> str:
        return f"head{task}" if self.heads == "own" else "head"

    def n_out(self) -> int:
        return 2 if self.heads == "own" else N_CLASSES

    def seen(self, task: int) -> int:
        """Outputs of the one head that tasks up to this one have used."""
        return 2 * (task + 1) if self.tasks == "split" and self.heads == "one" else self.n_out()


SCENARIOS = {
    "split": Scenario("split", "split", "own", 200, 32, 3e-3),
    "permuted": Scenario("permuted", "permuted", "one", 200, 64, 1e-3),
    "new classes": Scenario("new classes", "split", "one", 100, 32, 1e-3),
}


def make_task_list(scenario: Scenario, seed: int) -> list[tuple[np.ndarray, ...]]:
    """The seed decides the division into training and test images, the pairs of digits, and the permutations."""
    rng = np.random.default_rng([seed, 1])
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32)
    xs, xt, ys, yt = train_test_split(x, y, test_size=0.25, stratify=y, random_state=seed)
    digits = rng.permutation(N_CLASSES)
    tasks = []
    for t in range(N_TASKS):
        if scenario.tasks == "permuted":
            order = rng.permutation(x.shape[1]) if t else np.arange(x.shape[1])
            tasks.append((xs[:, order], ys, xt[:, order], yt))
            continue
        pair = digits[2 * t : 2 * t + 2]
        code = np.zeros(N_CLASSES, dtype=int)
        code[pair] = [0, 1] if scenario.heads == "own" else [2 * t, 2 * t + 1]
        keep, keep_t = np.isin(ys, pair), np.isin(yt, pair)
        tasks.append((xs[keep], code[ys[keep]], xt[keep_t], code[yt[keep_t]]))
    return tasks


def make_tasks(scenario: Scenario, seeds: Sequence[int]) -> list[Task]:
    """Tasks of all members; each is cut to the smallest member's size, so that they stack."""
    lists = [make_task_list(scenario, seed) for seed in seeds]
    tasks = []
    for t in range(N_TASKS):
        fields = []
        for field in range(4):
            arrays = [some[t][field] for some in lists]
            n = min(len(array) for array in arrays)
            fields.append(torch.as_tensor(np.stack([array[:n] for array in arrays])))
        tasks.append(Task(*fields))
    return tasks


def stack(members: Sequence[Weights]) -> Weights:
    return {name: torch.stack([member[name] for member in members]) for name in members[0]}


def fresh_weights(scenario: Scenario, seed: int) -> Weights:
    """A 64-100-100 network with one head or one a task; He's initialisation."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"w0": (64, WIDTH), "w1": (WIDTH, WIDTH)}
    heads = [scenario.head(t) for t in range(N_TASKS)] if scenario.heads == "own" else ["head"]
    shapes.update({f"{head}.w": (WIDTH, scenario.n_out()) for head in heads})
    found: Weights = {}
    for name, shape in shapes.items():
        found[name] = torch.randn(shape, generator=generator) * (2.0 / shape[0]) ** 0.5
        found[name.replace("w", "b")] = torch.zeros(1, shape[1])
    return found


def forward(weights: Weights, x: torch.Tensor, head: str) -> torch.Tensor:
    """Logits of a batch, with or without the members' axis."""
    h = torch.relu(x @ weights["w0"] + weights["b0"])
    h = torch.relu(h @ weights["w1"] + weights["b1"])
    return h @ weights[f"{head}.w"] + weights[f"{head}.b"]


def right(logits: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    """Accuracy of each member."""
    return np.asarray((logits.argmax(-1) == y).float().mean(-1))


def accuracy(weights: Weights, scenario: Scenario, tasks: list[Task], upto: int) -> np.ndarray:
    """Accuracy of each task and member, with the outputs that are in use after a task, or by the task that is asked."""
    rows = []
    with torch.no_grad():
        for i, t in enumerate(tasks):
            n_out = max(scenario.seen(upto), scenario.seen(i))
            rows.append(right(forward(weights, t.x_test, scenario.head(i))[..., :n_out], t.y_test))
    return np.array(rows)


class Metrics(NamedTuple):
    """Of a matrix a[t, i], t = 0 before any task."""

    average: float
    """Mean accuracy over all tasks at the end."""
    backward: float
    """Backward transfer: mean change of a task since it was learned."""
    forgetting: float
    """Mean of a task's best accuracy after any task, the last left out, less that at the end."""
    forward: float
    """Forward transfer: mean accuracy on the next task less that of the untrained model."""


def metrics(a: np.ndarray) -> Metrics:
    """The usual four numbers."""
    n = a.shape[1]
    last, learned = a[-1], np.diag(a[1:])
    return Metrics(
        float(last.mean()),
        float((last - learned)[: n - 1].mean()),
        float((a[1:-1].max(axis=0) - last)[: n - 1].mean()),
        float(np.mean([a[i, i] - a[0, i] for i in range(1, n)])),
    )


class Batches:
    """Batches of a task for each member, without end."""

    def __init__(self, n: int, size: int, rngs: Sequence[np.random.Generator]) -> None:
        self._n, self._size, self._rngs = n, min(size, n), rngs
        self._queue = np.empty((len(rngs), 0), dtype=int)

    def next(self) -> torch.Tensor:
        if self._queue.shape[1] < self._size:
            more = np.stack([rng.permutation(self._n) for rng in self._rngs])
            self._queue = np.concatenate([self._queue, more], axis=1)
        now, self._queue = self._queue[:, : self._size], self._queue[:, self._size :]
        return torch.as_tensor(now)


def pick(values: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Rows `at` of each member."""
    return values[torch.arange(len(at))[:, None], at]


def cross_entropy(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean over the batch, sum over members."""
    total = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")
    return total / y.shape[1]


class Method:
    """Plain training; subclasses add what they defend with.

    Args:
        scenario: What is learned.
        rngs: One a member.
        strength: One a member.
    """

    def __init__(self, scenario: Scenario, rngs: Sequence[np.random.Generator], strength: torch.Tensor) -> None:
        self.scenario, self.rngs, self.strength = scenario, rngs, strength

    def begin(self, weights: Weights, data: Task, task: int) -> None:
        pass

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        return 0.0

    def replayed(self, weights: Weights, task: int) -> torch.Tensor | None:
        """Loss on old data."""
        return None

    def stepped(self, weights: Weights) -> None:
        pass

    def end(self, weights: Weights, data: Task, task: int) -> None:
        pass

    def supervised(self, weights: Weights, x: torch.Tensor, y: torch.Tensor, task: int, upto: int) -> torch.Tensor:
        return cross_entropy(forward(weights, x, self.scenario.head(task))[..., : self.scenario.seen(upto)], y)

    def loss(self, weights: Weights, x: torch.Tensor, y: torch.Tensor, task: int) -> torch.Tensor:
        new = self.supervised(weights, x, y, task, task)
        old = self.replayed(weights, task)
        if old is not None:
            new = new / (task + 1) + old * task / (task + 1)
        return new + self.penalty(weights, x, task)

    def times_strength(self, some: Weights) -> Weights:
        return {name: value * self.strength[:, None, None] for name, value in some.items()}


class Replay(Method):
    """Keeps a random share (`strength`) of each task and mixes it in with weight 1 - 1/t."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.n_kept: list[np.ndarray] = []

    def end(self, weights: Weights, data: Task, task: int) -> None:
        n = data.x.shape[1]
        order = torch.as_tensor(np.stack([rng.permutation(n) for rng in self.rngs]))
        self.kept.append((pick(data.x, order), pick(data.y, order)))
        self.n_kept.append(np.maximum(1, np.round(self.strength.numpy() * n)).astype(int))

    def replayed(self, weights: Weights, task: int) -> torch.Tensor | None:
        if not self.kept:
            return None
        size = -(-self.scenario.batch // len(self.kept))
        total = []
        for i, (x, y) in enumerate(self.kept):
            at = np.stack([rng.integers(n, size=size) for rng, n in zip(self.rngs, self.n_kept[i], strict=True)])
            chosen = torch.as_tensor(at)
            total.append(self.supervised(weights, pick(x, chosen), pick(y, chosen), i, task))
        return torch.stack(total).mean()


class Ewc(Method):
    """Online, gamma 1, Fisher information over all labels."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.fisher: Weights = {}
        self.held: Weights = {}
        self.centre: Weights = {}

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        return quadratic_penalty({n: weights[n] for n in self.held}, self.centre, self.held) / 2

    def end(self, weights: Weights, data: Task, task: int) -> None:
        head, seen = self.scenario.head(task), self.scenario.seen(task)
        used = {n: v.detach() for n, v in weights.items() if not n.startswith("head") or n.startswith(f"{head}.")}

        def one(member: Weights, rows: torch.Tensor) -> Weights:
            return fisher_diagonal(lambda p, x: forward(p, x[None], head)[0, :seen], member, rows, rng=self.rngs[0])

        fresh = torch.func.vmap(one)(used, data.x[:, :FISHER_ROWS])
        for name, value in fresh.items():
            self.fisher[name] = self.fisher[name] + value if name in self.fisher else value
        self.held = self.times_strength(self.fisher)
        self.centre = {name: weights[name].detach().clone() for name in self.fisher}


class Lwf(Method):
    """The old model's outputs on the new images, tau = 2: every old head, or the outputs in use so far."""

    old: Weights | None = None

    def begin(self, weights: Weights, data: Task, task: int) -> None:
        self.old = {n: v.detach().clone() for n, v in weights.items()} if task else None

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        if self.old is None:
            return 0.0
        total: Any = 0.0
        for i in range(task) if self.scenario.heads == "own" else [task]:
            head, seen = self.scenario.head(i), self.scenario.seen(task - 1)
            with torch.no_grad():
                before = forward(self.old, x, head)[..., :seen]
            held = distillation(before, forward(weights, x, head)[..., :seen])
            total = total + (self.strength * held.mean(-1)).sum()
        return total


class Si(Method):
    """Synaptic intelligence, xi = 0.1."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.importance: Weights = {}
        self.held: Weights = {}
        self.centre: Weights = {}

    def begin(self, weights: Weights, data: Task, task: int) -> None:
        self.path = PathIntegral(weights)

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        return quadratic_penalty({n: weights[n] for n in self.held}, self.centre, self.held)

    def stepped(self, weights: Weights) -> None:
        gradients = {n: v.grad for n, v in weights.items() if v.grad is not None}
        for n, held in self.held.items():
            if n in gradients:
                gradients[n] = gradients[n] - 2 * held * (self.path.last[n] - self.centre[n])
        self.path.add(gradients, weights)

    def end(self, weights: Weights, data: Task, task: int) -> None:
        self.importance = self.path.importance(self.importance)
        self.held = self.times_strength(self.importance)
        self.centre = {n: v.detach().clone() for n, v in weights.items()}


class Vcl(Method):
    """Mean-field Gaussian weights; the strength multiplies the divergence, 1 is the paper's. Scored at the means."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.generator = torch.Generator().manual_seed(int(self.rngs[0].integers(2**31)))
        self.log_std: Weights = {}
        self.prior: tuple[Weights, Weights] = ({}, {})

    def begin(self, weights: Weights, data: Task, task: int) -> None:
        self.n = data.x.shape[1]
        if not task:
            zeros = {n: torch.zeros_like(v) for n, v in weights.items()}
            self.prior = (dict(zeros), dict(zeros))
            self.log_std = {n: torch.full_like(v, -3.0).requires_grad_() for n, v in weights.items()}
        for n in weights if task else ():
            if not n.startswith("head") or n.startswith(("head.", *(f"head{i}." for i in range(task)))):
                self.prior[0][n], self.prior[1][n] = weights[n].detach().clone(), self.log_std[n].detach().clone()
        self.optimizer = torch.optim.Adam(self.log_std.values(), lr=self.scenario.rate, fused=True)

    def loss(self, weights: Weights, x: torch.Tensor, y: torch.Tensor, task: int) -> torch.Tensor:
        drawn = draw_weights(weights, self.log_std, self.generator)
        kl = torch.func.vmap(gaussian_kl)(weights, self.log_std, *self.prior)
        return self.supervised(drawn, x, y, task, task) + (self.strength * kl).sum() / self.n

    def stepped(self, weights: Weights) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()


METHODS: dict[str, type[Method]] = {"naive": Method, "replay": Replay, "ewc": Ewc, "lwf": Lwf, "si": Si, "vcl": Vcl}


def train(
    weights: Weights,
    scenario: Scenario,
    n_steps: int,
    batch: Callable[[], tuple[Any, ...]],
    loss: Callable[..., torch.Tensor],
    stepped: Callable[[Weights], None] = lambda _: None,
) -> None:
    """Adam, moments from zero."""
    for value in weights.values():
        value.requires_grad_(True)
    optimizer = torch.optim.Adam(weights.values(), lr=scenario.rate, fused=True)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss(weights, *batch()).backward()
        optimizer.step()
        stepped(weights)


def sequence(
    scenario: Scenario, name: str, seeds: Sequence[int], strength: float | Sequence[float] = 0.0
) -> np.ndarray:
    """Learn all tasks in sequence; accuracies a[t, i, member], t = 0 before any training.

    Args:
        scenario: What is learned.
        name: Of the method.
        seeds: One a member.
        strength: One for all, or one a member.
    """
    tasks = make_tasks(scenario, seeds)
    rngs = [np.random.default_rng([seed, 2]) for seed in seeds]
    weights = stack([fresh_weights(scenario, seed) for seed in seeds])
    method = METHODS[name](scenario, rngs, torch.as_tensor(np.broadcast_to(strength, len(seeds)).astype(np.float32)))
    rows = [accuracy(weights, scenario, tasks, 0)]
    for t, data in enumerate(tasks):
        method.begin(weights, data, t)
        train(weights, scenario, scenario.n_steps, batches_of(data, t, scenario, rngs), method.loss, method.stepped)
        method.end(weights, data, t)
        rows.append(accuracy(weights, scenario, tasks, t))
    return np.array(rows)


def batches_of(
    data: Task, task: int, scenario: Scenario, rngs: Sequence[np.random.Generator]
) -> Callable[[], tuple[torch.Tensor, torch.Tensor, int]]:
    """Draws batches of a task."""
    batches = Batches(data.x.shape[1], scenario.batch, rngs)

    def batch() -> tuple[torch.Tensor, torch.Tensor, int]:
        at = batches.next()
        return pick(data.x, at), pick(data.y, at), task

    return batch


def joint(scenario: Scenario, seeds: Sequence[int]) -> np.ndarray:
    """All tasks at once, twice a task's steps with a batch of each: the upper line. Only first and last row differ."""
    tasks = make_tasks(scenario, seeds)
    rngs = [np.random.default_rng([seed, 2]) for seed in seeds]
    weights = stack([fresh_weights(scenario, seed) for seed in seeds])
    plain = Method(scenario, rngs, torch.zeros(len(seeds)))
    streams = [batches_of(data, t, scenario, rngs) for t, data in enumerate(tasks)]

    def loss(weights: Weights, *batches: tuple[torch.Tensor, torch.Tensor, int]) -> torch.Tensor:
        return torch.stack([plain.supervised(weights, *some, N_TASKS - 1) for some in batches]).mean()

    before = accuracy(weights, scenario, tasks, 0)
    train(weights, scenario, scenario.n_steps * 2, lambda: tuple(stream() for stream in streams), loss)
    after = accuracy(weights, scenario, tasks, N_TASKS - 1)
    return np.array([before, *[after] * N_TASKS])


def progressive(scenario: Scenario, seeds: Sequence[int]) -> np.ndarray:
    """A column a task with lateral connections from all older ones (Rusu et al. 2016); the task is told."""
    tasks = make_tasks(scenario, seeds)
    rngs = [np.random.default_rng([seed, 2]) for seed in seeds]
    columns = [stack([fresh_column(k, scenario.n_out(), seed) for seed in seeds]) for k in range(N_TASKS)]

    def loss(_: Weights, x: torch.Tensor, y: torch.Tensor, k: int) -> torch.Tensor:
        return cross_entropy(column_logits(columns, x, k), y)

    def scores() -> np.ndarray:
        with torch.no_grad():
            return np.array([right(column_logits(columns, t.x_test, i), t.y_test) for i, t in enumerate(tasks)])

    rows = [scores()]
    for k, data in enumerate(tasks):
        train(columns[k], scenario, scenario.n_steps, batches_of(data, k, scenario, rngs), loss)
        for value in columns[k].values():
            value.requires_grad_(False)
        rows.append(scores())
    return np.array(rows)


def fresh_column(k: int, n_out: int, seed: int) -> Weights:
    """Weights of column k: its own, and those from the layers of columns 0 to k - 1."""
    generator = torch.Generator().manual_seed(1000 * seed + k)
    shapes = {"w0": (64, WIDTH), "w1": (WIDTH, WIDTH), "w2": (WIDTH, n_out)}
    shapes.update({f"u{layer}.{j}": shapes[f"w{layer}"] for layer in (1, 2) for j in range(k)})
    found = {}
    for name, shape in shapes.items():
        fan_in = shape[0] * (1 if name == "w0" else k + 1)
        found[name] = torch.randn(shape, generator=generator) * (2.0 / fan_in) ** 0.5
    return found | {"b0": torch.zeros(1, WIDTH), "b1": torch.zeros(1, WIDTH), "b2": torch.zeros(1, n_out)}


def column_logits(columns: Sequence[Weights], x: torch.Tensor, k: int) -> torch.Tensor:
    """h_i^k = relu(W_i^k h_{i-1}^k + sum_{j<k} U_i^{k:j} h_{i-1}^j), the last layer without relu."""
    hidden: list[list[torch.Tensor]] = []
    for at in range(k + 1):
        mine = columns[at]
        h = [torch.relu(x @ mine["w0"] + mine["b0"])]
        for layer in (1, 2):
            z = h[-1] @ mine[f"w{layer}"] + mine[f"b{layer}"]
            for j in range(at):
                z = z + hidden[j][layer - 1] @ mine[f"u{layer}.{j}"]
            h.append(torch.relu(z) if layer == 1 else z)
        hidden.append(h)
    return hidden[k][-1]
