"""How a batch of answers is learned: passes, optimiser steps, and parts of similar length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from moorings.improve.train.encode import collate
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.forward import predict
from moorings.improve.train.loop import rate_at
from moorings.improve.train.rl_batch import Answers, Credit, Part
from moorings.improve.train.rl_run import PolicyRun
from moorings.improve.train.start_model import trained_parameters
from moorings.improve.training import BaseDefence

__all__ = ["learn_batch"]

_SPLITTING = 0x0B17


def learn_batch(run: PolicyRun, answers: Answers, peak: float) -> tuple[dict[str, float], bool]:
    """All optimiser steps of a batch; their means, and whether training goes on."""
    credit = run.algorithm.credit(answers, run.objective, run.beta)
    if not bool(credit.tokens.isfinite().all()):
        raise TrainingError(
            f"batch {run.done + 1} has advantages that are not finite, so training was stopped; look at the objective"
        )
    old = _old_logp(run, answers)
    entries: list[dict[str, float]] = []
    go_on = True
    for places in _splits(run, len(answers.sequences)):
        rate = rate_at(run.session.step, run.session.n_steps, run.settings, peak)
        entries.append(_step(run, answers, credit, old, places, rate))
        run.session.step += 1
        run.job.tick(run.session.step, run.session.n_steps)
        # Each defence is asked, as some count steps by it.
        stop = any([one.should_stop(run.session) for one in run.job.defences])
        run.job.on_point("step")
        if stop:
            run.job.say(f"training ends early, after step {run.session.step}: a defence asked for it")
            go_on = False
            break
    means = {name: sum(entry[name] for entry in entries) / len(entries) for name in entries[0]}
    spread = float(credit.tokens.double().std(correction=0))
    joined = {f"objective.{name}": value for name, value in credit.logged.items() if math.isfinite(value)}
    return {"advantage_sd": spread, **means, **joined}, go_on


def _splits(run: PolicyRun, n: int) -> Iterator[list[int]]:
    """Answers of each optimiser step of a batch."""
    settings = run.settings
    rng = np.random.default_rng([run.job.seed, _SPLITTING, run.done])
    for _ in range(settings.passes):
        order = np.arange(n) if settings.minibatches == 1 else rng.permutation(n)
        for part in np.array_split(order, settings.minibatches):
            yield part.tolist()


def _parts(run: PolicyRun, answers: Answers, places: Sequence[int]) -> list[list[int]]:
    """Answers that go through the model together, of similar length."""
    n = len(places) if run.settings.micro_batch is None else run.settings.micro_batch * run.settings.group_size
    order = sorted(places, key=lambda at: (-len(answers.sequences[at].ids), at))
    return [order[at : at + n] for at in range(0, len(order), n)]


def _old_logp(run: PolicyRun, answers: Answers) -> Any | None:
    """ln pi before a batch is learned, by the passes that learn it; None where the first pass shows it anyway."""
    import torch

    settings = run.settings
    if settings.minibatches == 1:
        return None if settings.passes == 1 else torch.full_like(answers.logp, torch.nan)
    old = torch.empty_like(answers.logp)
    with torch.no_grad():
        for part in _parts(run, answers, range(len(answers.sequences))):
            old[_token_places(answers, part)] = _forward(run, answers, part)[1]
    return old


def _token_places(answers: Answers, part: Sequence[int]) -> Any:
    """Places of some answers' tokens in the vector of all."""
    import torch

    lengths = answers.lengths
    ends = np.cumsum(lengths)
    places = np.concatenate([np.arange(ends[at] - lengths[at], ends[at]) for at in part])
    return torch.from_numpy(places).to(answers.logp.device)


def _forward(run: PolicyRun, answers: Answers, part: Sequence[int]) -> tuple[dict[str, Any], Any, Any]:
    model = run.session.model
    batch = collate([answers.sequences[at] for at in part], run.encoder.filler_id, run.device)
    # A defence may read the logits of any place.
    all_logits = any(type(one).penalty is not BaseDefence.penalty for one in run.job.defences)
    with run.precise(), _checkpointing(model, run.settings.gradient_checkpointing):
        found = predict(model, model.get_output_embeddings(), batch, all_logits=all_logits)
    return batch, found.logp, found.output


class _checkpointing:
    """Layers compute their activations twice only in training mode, which is off because of dropout."""

    def __init__(self, model: Any, wanted: bool) -> None:
        self._layers = [one for one in model.modules() if getattr(one, "gradient_checkpointing", False) and wanted]

    def __enter__(self) -> None:
        for layer in self._layers:
            layer.training = True

    def __exit__(self, *_: object) -> None:
        for layer in self._layers:
            layer.training = False


def _step(
    run: PolicyRun, answers: Answers, credit: Credit, old: Any | None, places: Sequence[int], rate: float
) -> dict[str, float]:
    """One optimiser step on some answers, in parts; what it measured."""
    import torch

    lengths = answers.lengths
    n_tokens = sum(lengths[at] for at in places)
    total = clip_share = 0.0
    for part in _parts(run, answers, places):
        at = _token_places(answers, part)
        batch, logp, output = _forward(run, answers, part)
        before = logp.detach() if old is None else old[at]
        if old is not None and bool(before.isnan().any()):
            before = old[at] = logp.detach()
        sizes = torch.tensor([lengths[i] for i in part], device=at.device)
        owner = torch.arange(len(part), device=at.device).repeat_interleave(sizes)
        piece = Part(
            logp,
            before,
            answers.ref_logp[at],
            credit.tokens[at],
            owner,
            sizes,
            answers.weights[torch.tensor(part, device=at.device)],
            len(places),
            n_tokens,
        )
        found = run.algorithm.loss(piece, run.beta)
        loss = found.value
        for one in run.job.defences:
            penalty = one.penalty(run.session, batch, output)
            if penalty is not None:
                loss = loss + penalty * (len(part) / len(places))
        loss.backward()
        total, clip_share = total + float(loss.detach()), clip_share + float(found.clip_share)
        run.n_tokens += sum(len(answers.sequences[i].ids) for i in part)
    _check_finite(run, total, "loss")
    weights = list(trained_parameters(run.session.model).values())
    norm = float(torch.nn.utils.clip_grad_norm_(weights, run.settings.max_grad_norm))
    _check_finite(run, norm, "gradient")
    logged = {"loss": total, "grad_norm": norm, "clip_share": clip_share, "rate": rate}
    own = run.algorithm.own_loss(_token_places(answers, places))
    if own is not None:
        own.backward()
        logged["own_loss"] = float(own.detach())
    run.optimizer.param_groups[0]["lr"] = rate
    run.optimizer.step()
    run.optimizer.zero_grad()
    return logged


def _check_finite(run: PolicyRun, value: float, what: str) -> None:
    """Refuse NaN and infinity before they reach the weights."""
    if not math.isfinite(value):
        raise TrainingError(
            f"the {what} of step {run.session.step + 1} is {value}, so training was stopped; lower learning_rate, "
            "or look at the rewards and the start model"
        )
