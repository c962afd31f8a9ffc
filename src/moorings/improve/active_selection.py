"""Active selection: of the rows so far, learn those that tell the model most.

`entropy`: -sum p ln p of the model's distribution over answers. `margin`: p(1) - p(2), smallest first (both: Settles
2009). `badge` (Ash et al. 2019, arXiv:1906.03671): g_x = (p - onehot(argmax p)) (x) h(x), rows chosen by k-means++ on
g_x, so that they are both uncertain and different; h is the sentence embedding, in place of the model's last layer.
`loss`: mean nats a token of the row's own response, largest first. `random`: the control.

Answers are given `options`, scored by their log-probability; without options they are `n_samples` sampled answers,
grouped where embeddings have a cosine of at least `same` (after semantic entropy, Kuhn et al. 2023, arXiv:2302.09664,
with likeness in place of entailment). Left out: buying labels from people one batch at a time; a row's response is the
label, and only chosen rows' responses are used, except by `loss`. What it must show: at equal size a model trained on
chosen rows is better on the task than one trained on random ones. Noise is uncertain too: mind what is selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from moorings.errors import ConfigError
from moorings.improve.asking import Asking, as_prompt, ask_all, draw, label_logprobs, last_text, score_all, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ActiveSelectionConfig", "active_selection", "badge_rows", "entropy_nats", "margin"]


class ActiveSelectionConfig(Asking):
    """Settings of `active_selection`; give exactly one of `n_rows` and `keep_share`."""

    by: Literal["entropy", "margin", "badge", "loss", "random"] = "entropy"
    """What tells how much a row teaches."""
    n_rows: int | None = Field(default=None, ge=1)
    """Rows that are kept."""
    keep_share: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Share of the rows that is kept."""
    options: tuple[str, ...] = ()
    """Possible answers, the same for all rows; empty samples answers instead. `badge` needs them."""
    n_samples: int = Field(default=5, ge=2)
    """Answers sampled for each row without options; ours."""
    same: float = Field(default=0.9, gt=0.0, le=1.0)
    """Cosine from which two sampled answers count as the same; ours."""

    @model_validator(mode="after")
    def _fits(self) -> ActiveSelectionConfig:
        if (self.n_rows is None) == (self.keep_share is None):
            raise ConfigError(
                f"active_selection: n_rows is {self.n_rows} and keep_share is {self.keep_share}; give exactly one"
            )
        if len(set(self.options)) != len(self.options) or "" in self.options or len(self.options) == 1:
            raise ConfigError("active_selection: options must be two or more different texts, or none")
        if self.by == "badge" and not self.options:
            raise ConfigError("active_selection: badge needs options; list the possible answers, or use by: entropy")
        return self


@data_methods.register("active_selection", ActiveSelectionConfig)
def active_selection(config: ActiveSelectionConfig) -> DataMethod:
    """Rows of which the model is least sure."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        if not rows:
            return DataStep([], {}, {"kept_share": 0.0})
        wanted = config.n_rows if config.n_rows is not None else round((config.keep_share or 0.0) * len(rows))
        values, chosen = _choose(config, rows, min(wanted, len(rows)), workbench)
        known = ~np.isnan(values)
        kept = [row for row, ok in zip(rows, chosen, strict=True) if ok]
        n_unknown = int((~known).sum())
        dropped = {"could not be measured": n_unknown, "not selected": len(rows) - len(kept) - n_unknown}
        words = np.array([len(row.response.split()) for row in rows], dtype=np.float64)
        metrics = {"kept_share": share_of(len(kept), len(rows)), "mean_words": float(words.mean())}
        if chosen.any():
            metrics |= {
                "mean_value": float(values[known].mean()),
                "mean_kept_value": float(values[chosen].mean()),
                "mean_words_kept": float(words[chosen].mean()),
            }
        return DataStep(kept, dropped, metrics)

    return method


def _choose(
    config: ActiveSelectionConfig, rows: Sequence[DataRow], n: int, workbench: Workbench
) -> tuple[Float[np.ndarray, " n"], np.ndarray]:
    """How much each row teaches (NaN where that is not known), and which rows are chosen."""
    chosen = np.zeros(len(rows), dtype=bool)
    rng = workbench.rng
    if config.by == "random":
        chosen[draw(range(len(rows)), n, rng)] = True
        return np.zeros(len(rows)), chosen
    if config.by == "loss":
        scored = score_all(
            workbench.subject, [(row.prompt, row.response) for row in rows], workbench.label("responses")
        )
        values = np.array([np.nan if s is None else -np.mean(s.logprobs_nats) for s in scored], dtype=np.float64)
    else:
        found = _distributions(config, rows, workbench)
        if config.by == "badge":
            return _badge(found, rows, n, workbench, rng)
        measure = entropy_nats if config.by == "entropy" else margin
        values = np.array([np.nan if p is None else measure(p) for p in found], dtype=np.float64)
    ranked = -values if config.by != "margin" else values
    order = np.argsort(np.where(np.isnan(ranked), np.inf, ranked), kind="stable")
    chosen[order[:n]] = True
    return values, chosen & ~np.isnan(values)


def _distributions(
    config: ActiveSelectionConfig, rows: Sequence[DataRow], workbench: Workbench
) -> list[Float[np.ndarray, " k"] | None]:
    """Each row's distribution over answers; None where it cannot be had."""
    if config.options:
        chats = [row.prompt for row in rows]
        found = label_logprobs(workbench.subject, chats, [config.options] * len(rows), workbench.label("options"))
        return [None if logprobs is None else np.exp(logprobs) for logprobs in found]
    prompts = [as_prompt(row.prompt) for row in rows]
    answers = ask_all(
        workbench.subject,
        prompts,
        workbench.label("samples"),
        decoding=config.decoding(),
        n_samples=config.n_samples,
    )
    texts = [[text for text, reason in map(config.usable, some) if reason is None] for some in answers]
    flat = [text for some in texts for text in some]
    vectors = workbench.embed(flat) if flat else np.empty((0, 1))
    shares: list[Float[np.ndarray, " k"] | None] = []
    start = 0
    for some in texts:
        shares.append(_grouped(vectors[start : start + len(some)], config.same) if len(some) >= 2 else None)
        start += len(some)
    return shares


def _grouped(vectors: Float[np.ndarray, "n d"], same: float) -> Float[np.ndarray, " k"]:
    """Shares of groups: each answer joins the first group whose first member it resembles."""
    leaders: list[int] = []
    counts: list[int] = []
    for at, vector in enumerate(vectors):
        place = next((i for i, first in enumerate(leaders) if float(vectors[first] @ vector) >= same - 1e-6), None)
        if place is None:
            leaders.append(at)
            counts.append(1)
        else:
            counts[place] += 1
    return np.array(counts, dtype=np.float64) / len(vectors)


def entropy_nats(p: Float[np.ndarray, " k"]) -> float:
    """Entropy of a distribution in nats.

    >>> round(entropy_nats(np.array([0.5, 0.5, 0.0])), 4)
    0.6931
    """
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())


def margin(p: Float[np.ndarray, " k"]) -> float:
    """Largest less second largest probability; 1 where there is one answer only.

    >>> margin(np.array([0.2, 0.5, 0.3]))
    0.2
    """
    ordered = np.sort(p)[::-1]
    return float(ordered[0] - ordered[1]) if len(ordered) > 1 else 1.0


def badge_rows(p: Float[np.ndarray, "n k"], h: Float[np.ndarray, "n d"], n: int, rng: np.random.Generator) -> list[int]:
    """Rows chosen by k-means++ on the gradients of the last layer under the model's own label.

    Where rows coincide, k-means++ runs out of different ones; the longest gradients fill up.

    Source: Ash et al. 2019 (arXiv:1906.03671), algorithm 1.
    """
    from sklearn.cluster import kmeans_plusplus

    error = p - np.eye(p.shape[1])[p.argmax(axis=1)]
    gradients = np.einsum("nk,nd->nkd", error, h).reshape(len(p), -1)
    _, found = kmeans_plusplus(gradients, n, random_state=int(rng.integers(2**31)), n_local_trials=1)
    chosen = list(dict.fromkeys(int(at) for at in found))
    by_length = np.argsort(-np.square(gradients).sum(axis=1), kind="stable")
    taken = set(chosen)
    return [*chosen, *(int(at) for at in by_length if int(at) not in taken)][:n]


def _badge(
    found: Sequence[Float[np.ndarray, " k"] | None],
    rows: Sequence[DataRow],
    n: int,
    workbench: Workbench,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " n"], np.ndarray]:
    values = np.array([np.nan if p is None else entropy_nats(p) for p in found], dtype=np.float64)
    chosen = np.zeros(len(rows), dtype=bool)
    known = [at for at, p in enumerate(found) if p is not None]
    if known and n:
        p = np.array([found[at] for at in known], dtype=np.float64)
        h = np.asarray(workbench.embed([last_text(rows[at].prompt) for at in known]), dtype=np.float64)
        chosen[[known[at] for at in badge_rows(p, h, min(n, len(known)), rng)]] = True
    return values, chosen
