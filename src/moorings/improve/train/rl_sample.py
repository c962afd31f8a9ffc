"""The answers of one batch: sampled, measured against the reference, graded, and what there is to log of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moorings.improve.objectives.objective import Batch
from moorings.improve.train.encode import Encoded
from moorings.improve.train.rl_batch import Answers, k3
from moorings.improve.train.rl_rewards import distinct_share, graded
from moorings.improve.train.rl_run import PolicyRun
from moorings.improve.train.rollout import Sampled, sample_answers

__all__ = ["sample_batch"]

_SAMPLING = 0x5A3E
_NO_VARIANCE = 1e-9


def sample_batch(run: PolicyRun, numbers: Sequence[int]) -> tuple[Answers, dict[str, float]]:
    """Answers to the prompts of a batch, graded and measured against the reference, and what there is to log."""
    import torch

    settings, model = run.settings, run.session.model
    size, n = settings.group_size, len(numbers)
    prompts = [run.rows[at].sequences[0].ids for at in numbers]
    rng = np.random.default_rng([run.job.seed, _SAMPLING, run.done])
    draws = rng.random((n * size, settings.max_new_tokens))
    with run.precise():
        found = sample_answers(model, prompts, draws, run.start.files.end_ids, at_once=settings.sample_batch)
        sequences = [Encoded((*prompts[i // size], *one.ids), len(prompts[i // size])) for i, one in enumerate(found)]
        hidden = [one.hidden for one in found]
        measured = run.reference.measure(sequences, hidden, run.encoder.filler_id, exact=settings.exact_kl)
    texts = [_text(run, one) for one in found]
    given = [run.session.job.rows[at] for at in numbers]
    items = [item for i, row in enumerate(given) for item in graded(row, texts[i * size : (i + 1) * size])]
    ended = np.array([one.ended for one in found])
    grades = run.grader.grade(items, ended, size)
    logp = torch.cat([one.logp for one in found])
    k1 = _sums(logp - measured.ref_logp, found)
    kl = k1 if measured.kl is None else _sums(measured.kl, found)
    batch = Batch(grades.values, run.grader.names, k1.reshape(n, size), step=run.done)
    learned = ~grades.missing.ravel() & (ended if settings.truncated == "drop" else True)
    weights = np.repeat([row.weight for row in given], size) * learned
    answers = Answers(
        sequences,
        batch,
        logp,
        measured.ref_logp,
        torch.cat(hidden),
        torch.tensor(weights, dtype=torch.float32, device=logp.device),
    )
    run.n_tokens += sum(len(prompt) for prompt in prompts) + sum(len(one.ids) for one in found)
    lengths = np.array([len(one.ids) for one in found])
    return answers, {
        **grades.logged,
        "kl": float(kl.mean()),
        "k1": float(k1.mean()),
        "k3": float(_sums(k3(logp, measured.ref_logp), found).mean()),
        **({} if measured.entropy is None else {"entropy": float(measured.entropy.mean())}),
        "tokens": float(lengths.mean()),
        "truncated": float(1 - ended.mean()),
        "zero_variance": float((grades.values.std(axis=2).max(axis=0) < _NO_VARIANCE).mean()),
        **{f"distinct_{n}": distinct_share(texts, n) for n in (1, 2, 3)},
        "beta": run.beta,
    }


def _text(run: PolicyRun, answer: Sampled) -> str:
    ids = answer.ids[:-1] if answer.ended else answer.ids
    return str(run.start.files.tokenizer.decode(list(ids), skip_special_tokens=True))


def _sums(values: Any, answers: Sequence[Sampled]) -> Any:
    """Sums over each answer's tokens."""
    parts = values.double().split([len(one.ids) for one in answers])
    return np.array([float(part.sum()) for part in parts])
