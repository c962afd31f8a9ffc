"""Continual learning on scikit-learn's digits: tasks in sequence, one method at a time, the whole matrix of accuracies."""

from __future__ import annotations

from collections.abc import Callable
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
FISHER_ROWS = 200
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

    def head(self, task: int) -> str:
        return f"head{task}" if self.heads == "own" else "head"

    def n_out(self) -> int:
        return 2 if self.heads == "own" else N_CLASSES

    def seen(self, task: int) -> int:
        """Outputs of the one head that tasks up to this one have used."""
        return 2 * (task + 1) if self.tasks == "split" and self.heads == "one" else self.n_out()


SCENARIOS = {
    "split": Scenario("split", "split", "own", 120, 32),
    "permuted": Scenario("permuted", "permuted", "one", 250, 64),
    "new classes": Scenario("new classes", "split", "one", 120, 32),
}


def make_tasks(scenario: Scenario, seed: int) -> list[Task]:
    """The seed decides the division into training and test images, the pairs of digits, and the permutations."""
    rng = np.random.default_rng([seed, 1])
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32)
    parts = train_test_split(x, y, test_size=0.25, stratify=y, random_state=seed)
    tasks = []
    digits = rng.permutation(N_CLASSES)
    for t in range(N_TASKS):
        xs, xt, ys, yt = parts
        if scenario.tasks == "split":
            pair = digits[2 * t : 2 * t + 2]
            keep, keep_t = np.isin(ys, pair), np.isin(yt, pair)
            code = np.zeros(N_CLASSES, dtype=int)
            code[pair] = [0, 1] if scenario.heads == "own" else [2 * t, 2 * t + 1]
            xs, xt, ys, yt = xs[keep], xt[keep_t], code[ys[keep]], code[yt[keep_t]]
        else:
            order = rng.permutation(x.shape[1]) if t else np.arange(x.shape[1])
            xs, xt = xs[:, order], xt[:, order]
        tasks.append(Task(*(torch.as_tensor(np.ascontiguousarray(a)) for a in (xs, ys, xt, yt))))
    return tasks


def fresh_weights(scenario: Scenario, generator: torch.Generator) -> Weights:
    """A 64-100-100 network with one head or one a task; He's initialisation."""
    shapes = {"w0": (64, WIDTH), "w1": (WIDTH, WIDTH)}
    heads = [scenario.head(t) for t in range(N_TASKS)] if scenario.heads == "own" else ["head"]
    shapes.update({f"{head}.w": (WIDTH, scenario.n_out()) for head in heads})
    found: Weights = {}
    for name, shape in shapes.items():
        found[name] = torch.randn(shape, generator=generator) * (2.0 / shape[0]) ** 0.5
        found[name.replace("w", "b")] = torch.zeros(shape[1])
    return found


def forward(weights: Weights, x: torch.Tensor, head: str) -> torch.Tensor:
    h = torch.relu(x @ weights["w0"] + weights["b0"])
    h = torch.relu(h @ weights["w1"] + weights["b1"])
    return h @ weights[f"{head}.w"] + weights[f"{head}.b"]


def accuracy(weights: Weights, scenario: Scenario, tasks: list[Task], upto: int) -> list[float]:
    """Accuracy on each task's test images, with the outputs that are in use after a task."""
    with torch.no_grad():
        return [
            float((forward(weights, t.x_test, scenario.head(i))[:, : max(scenario.seen(upto), scenario.seen(i))].argmax(1) == t.y_test).float().mean())
            for i, t in enumerate(tasks)
        ]


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
    """Batches of a task, without end."""

    def __init__(self, n: int, size: int, rng: np.random.Generator) -> None:
        self._n, self._size, self._rng = n, min(size, n), rng
        self._queue = np.empty(0, dtype=int)

    def next(self) -> torch.Tensor:
        if len(self._queue) < self._size:
            self._queue = np.concatenate([self._queue, self._rng.permutation(self._n)])
        now, self._queue = self._queue[: self._size], self._queue[self._size :]
        return torch.as_tensor(now)


class Method:
    """Plain training; subclasses add what they defend with."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator, strength: float) -> None:
        self.scenario, self.rng, self.strength = scenario, rng, strength

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        return 0.0

    def replayed(self, weights: Weights, task: int) -> torch.Tensor | None:
        """Loss on old data."""
        return None

    def stepped(self, weights: Weights) -> None:
        pass

    def begin(self, weights: Weights, task: int) -> None:
        pass

    def end(self, weights: Weights, data: Task, task: int) -> None:
        pass

    def cross_entropy(self, weights: Weights, x: torch.Tensor, y: torch.Tensor, task: int, upto: int) -> torch.Tensor:
        logits = forward(weights, x, self.scenario.head(task))[:, : self.scenario.seen(upto)]
        return torch.nn.functional.cross_entropy(logits, y)

    def loss(self, weights: Weights, x: torch.Tensor, y: torch.Tensor, task: int) -> torch.Tensor:
        new = self.cross_entropy(weights, x, y, task, task)
        old = self.replayed(weights, task)
        if old is not None:
            new = new / (task + 1) + old * task / (task + 1)
        return new + self.penalty(weights, x, task)


class Replay(Method):
    """Keeps a random share of each task (`strength`) and mixes it in with weight 1 - 1/t."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def end(self, weights: Weights, data: Task, task: int) -> None:
        n = max(1, round(self.strength * len(data.x)))
        chosen = torch.as_tensor(self.rng.choice(len(data.x), n, replace=False))
        self.kept.append((data.x[chosen], data.y[chosen]))

    def replayed(self, weights: Weights, task: int) -> torch.Tensor | None:
        if not self.kept:
            return None
        share = -(-self.scenario.batch // len(self.kept))
        total = []
        for i, (x, y) in enumerate(self.kept):
            at = torch.as_tensor(self.rng.integers(len(x), size=share))
            total.append(self.cross_entropy(weights, x[at], y[at], i, task))
        return torch.stack(total).mean()


class Ewc(Method):
    """Online, gamma 1, Fisher information over all labels."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.fisher: Weights = {}
        self.centre: Weights = {}

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        held = {name: weights[name] for name in self.fisher}
        return self.strength / 2 * quadratic_penalty(held, self.centre, self.fisher) if held else 0.0

    def end(self, weights: Weights, data: Task, task: int) -> None:
        head, seen = self.scenario.head(task), self.scenario.seen(task)
        used = {n: v for n, v in weights.items() if not n.startswith("head") or n.startswith(f"{head}.")}
        rows = data.x[torch.as_tensor(self.rng.permutation(len(data.x))[:FISHER_ROWS])]
        fresh = fisher_diagonal(lambda p, one: forward(p, one, head)[:seen], used, rows, rng=self.rng)
        for name, value in fresh.items():
            self.fisher[name] = self.fisher.get(name, torch.zeros(())) + value
        self.centre = {name: weights[name].detach().clone() for name in self.fisher}


class Lwf(Method):
    """The old model's outputs on the new images, tau = 2; every old head, or the outputs in use so far."""

    old: Weights | None = None

    def begin(self, weights: Weights, task: int) -> None:
        self.old = {n: v.detach().clone() for n, v in weights.items()} if task else None

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        if self.old is None:
            return 0.0
        heads = range(task) if self.scenario.heads == "own" else [task]
        held = []
        for i in heads:
            head, seen = self.scenario.head(i), self.scenario.seen(task - 1)
            with torch.no_grad():
                before = forward(self.old, x, head)[:, :seen]
            held.append(distillation(before, forward(weights, x, head)[:, :seen]).mean())
        return self.strength * torch.stack(held).sum()


class Si(Method):
    """Synaptic intelligence, xi = 0.1."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.importance: Weights = {}
        self.centre: Weights = {}
        self.pull: Any = 0.0

    def begin(self, weights: Weights, task: int) -> None:
        self.path = PathIntegral(weights)

    def penalty(self, weights: Weights, x: torch.Tensor, task: int) -> Any:
        return self.strength * quadratic_penalty(weights, self.centre, self.importance) if self.importance else 0.0

    def stepped(self, weights: Weights) -> None:
        gradients = {n: v.grad for n, v in weights.items() if v.grad is not None}
        for n, importance in self.importance.items():
            if n in gradients:
                own = 2 * self.strength * importance * (self.path.last[n] - self.centre[n])
                gradients[n] = gradients[n] - own
        self.path.add(gradients, weights)

    def end(self, weights: Weights, data: Task, task: int) -> None:
        self.importance = self.path.importance(self.importance)
        self.centre = {n: v.detach().clone() for n, v in weights.items()}


class Vcl(Method):
    """Mean-field Gaussian weights; `strength` multiplies the divergence, 1 is the paper's bound. Scored at the means."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        self.log_std: Weights = {}
        self.prior: tuple[Weights, Weights] = ({}, {})
        self.n = 1

    def begin(self, weights: Weights, task: int) -> None:
        if not task:
            self.prior = ({n: torch.zeros_like(v) for n, v in weights.items()}, {n: torch.zeros_like(v) for n, v in weights.items()})
            self.log_std = {n: torch.full_like(v, -3.0).requires_grad_() for n, v in weights.items()}
        else:
            used = [n for n in weights if not n.startswith("head") or int(n[4:].split(".")[0] or 0) < task]
            for n in used:
                self.prior[0][n], self.prior[1][n] = weights[n].detach().clone(), self.log_std[n].detach().clone()
        self.optimizer = torch.optim.Adam(self.log_std.values(), lr=1e-3, fused=True)

    def loss(self, weights: Weights, x: torch.Tensor, y: torch.Tensor, task: int) -> torch.Tensor:
        drawn = draw_weights(weights, self.log_std, self.generator)
        kl = gaussian_kl(weights, self.log_std, *self.prior)
        return self.cross_entropy(drawn, x, y, task, task) + self.strength * kl / self.n

    def stepped(self, weights: Weights) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()


METHODS: dict[str, type[Method]] = {"naive": Method, "replay": Replay, "ewc": Ewc, "lwf": Lwf, "si": Si, "vcl": Vcl}


def train(
    weights: Weights,
    n_steps: int,
    batch: Callable[[], tuple[torch.Tensor, torch.Tensor, int]],
    loss: Callable[..., torch.Tensor],
    stepped: Callable[[Weights], None],
) -> None:
    """Adam, 1e-3, moments from zero."""
    for value in weights.values():
        value.requires_grad_(True)
    optimizer = torch.optim.Adam(weights.values(), lr=1e-3, fused=True)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss(weights, *batch()).backward()
        optimizer.step()
        stepped(weights)


def sequence(scenario: Scenario, name: str, seed: int, strength: float = 0.0) -> np.ndarray:
    """Learn all tasks in sequence; accuracies a[t, i], row 0 before any training."""
    tasks = make_tasks(scenario, seed)
    rng = np.random.default_rng([seed, 2])
    weights = fresh_weights(scenario, torch.Generator().manual_seed(seed))
    method = METHODS[name](scenario, rng, strength)
    rows = [accuracy(weights, scenario, tasks, 0)]
    for t, data in enumerate(tasks):
        batches = Batches(len(data.x), scenario.batch, rng)
        method.n = len(data.x)
        method.begin(weights, t)

        def batch(data: Task = data, batches: Batches = batches, t: int = t) -> tuple[torch.Tensor, torch.Tensor, int]:
            at = batches.next()
            return data.x[at], data.y[at], t

        train(weights, scenario.n_steps, batch, method.loss, method.stepped)
        method.end(weights, data, t)
        rows.append(accuracy(weights, scenario, tasks, t))
    return np.array(rows)


def joint(scenario: Scenario, seed: int) -> np.ndarray:
    """All tasks at once, as many steps in all: the upper line. Only the first and the last row mean anything."""
    tasks = make_tasks(scenario, seed)
    rng = np.random.default_rng([seed, 2])
    weights = fresh_weights(scenario, torch.Generator().manual_seed(seed))
    plain = Method(scenario, rng, 0.0)
    streams = [Batches(len(task.x), scenario.batch, rng) for task in tasks]

    def batch() -> tuple[list[torch.Tensor], list[torch.Tensor], int]:
        at = [stream.next() for stream in streams]
        return [t.x[i] for t, i in zip(tasks, at, strict=True)], [t.y[i] for t, i in zip(tasks, at, strict=True)], 0

    def loss(weights: Weights, xs: list[torch.Tensor], ys: list[torch.Tensor], _: int) -> torch.Tensor:
        each = [plain.cross_entropy(weights, x, y, i, N_TASKS - 1) for i, (x, y) in enumerate(zip(xs, ys, strict=True))]
        return torch.stack(each).mean()

    before = accuracy(weights, scenario, tasks, 0)
    train(weights, scenario.n_steps * 2, batch, loss, lambda _: None)
    after = accuracy(weights, scenario, tasks, N_TASKS - 1)
    return np.array([before, *[after] * N_TASKS])


def progressive(scenario: Scenario, seed: int) -> np.ndarray:
    """A column a task with lateral connections from all older ones (Rusu et al. 2016); the task is told."""
    tasks = make_tasks(scenario, seed)
    rng = np.random.default_rng([seed, 2])
    generator = torch.Generator().manual_seed(seed)
    n_out = scenario.n_out()
    columns: list[Weights] = [fresh_column(k, n_out, generator) for k in range(N_TASKS)]

    def out(x: torch.Tensor, k: int) -> torch.Tensor:
        return column_logits(columns, x, k)[:, : scenario.seen(k)]

    def scores() -> list[float]:
        with torch.no_grad():
            return [float((out(t.x_test, i).argmax(1) == t.y_test).float().mean()) for i, t in enumerate(tasks)]

    rows = [scores()]
    for k, data in enumerate(tasks):
        batches = Batches(len(data.x), scenario.batch, rng)

        def batch(data: Task = data, batches: Batches = batches, k: int = k) -> tuple[torch.Tensor, torch.Tensor, int]:
            at = batches.next()
            return data.x[at], data.y[at], k

        def loss(_: Weights, x: torch.Tensor, y: torch.Tensor, k: int) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(out(x, k), y)

        train(columns[k], scenario.n_steps, batch, loss, lambda _: None)
        for value in columns[k].values():
            value.requires_grad_(False)
        rows.append(scores())
    return np.array(rows)


def fresh_column(k: int, n_out: int, generator: torch.Generator) -> Weights:
    """Weights of column k: its own, and from the layers of columns 0 to k - 1."""
    shapes = {"w0": (64, WIDTH), "w1": (WIDTH, WIDTH), "w2": (WIDTH, n_out)}
    shapes.update({f"u{layer}.{j}": shapes[f"w{layer}"] for layer in (1, 2) for j in range(k)})
    fan_in = {name: shape[0] * (1 if name in ("w0",) else k + 1) for name, shape in shapes.items()}
    found = {name: torch.randn(shape, generator=generator) * (2.0 / fan_in[name]) ** 0.5 for name, shape in shapes.items()}
    return found | {"b0": torch.zeros(WIDTH), "b1": torch.zeros(WIDTH), "b2": torch.zeros(n_out)}


def column_logits(columns: list[Weights], x: torch.Tensor, k: int) -> torch.Tensor:
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
