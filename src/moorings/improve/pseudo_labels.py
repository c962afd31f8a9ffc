"""Pseudo-labels: train on the model's own label where it is sure of it (FixMatch, Sohn et al. 2020, arXiv:2001.07685).

For each prompt with options: p(option) ~ exp(log p(option | weak(x)) / T), normalised over the options; the likeliest
one is accepted if its p is at least tau, and becomes the response to strong(x), another wording of the same prompt. The
loss weight lambda_u is the row's weight. tau = 0.95, lambda_u = 1, T = 1 as in the paper.
Left out: moving averages of weights, and the 7 : 1 mixing of unlabelled and labelled examples in each batch, which the
share of other rows decides here. The strong wording is a template with words blanked out, not an image augmentation.
What it must show: accepted labels are right more often than all labels are. Confidence is not accuracy and its error
grows over rounds; the class histogram shows a collapse into one label before accuracy does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import Field, field_validator

from moorings.improve.asking import check_places, draw, fill, label_logprobs, last_text, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods, make_row
from moorings.method import MethodConfig
from moorings.records import Message, Prompt

__all__ = ["PseudoLabelsConfig", "options_of", "pseudo_labels"]


class PseudoLabelsConfig(MethodConfig):
    """Settings of `pseudo_labels`."""

    options: tuple[str, ...] = ()
    """Allowed answers of all prompts; empty takes each prompt's own from its column `options_column`."""
    options_column: str = "options"
    """Column of the prompt file that lists a prompt's answers."""
    key_column: str = "answer"
    """Column with the right answer, where there is one; used for the audit alone, never for a label."""
    weak: str = "{prompt}\n\nAnswer with one of: {options}."
    """Wording under which the label is found; {prompt} and {options} are the places. Ours."""
    strong: tuple[str, ...] = (
        "{prompt}",
        "Question: {prompt}\nGive only the answer.",
        "{prompt}\n\nReply in one word.",
    )
    """Wordings that are trained on, one drawn for each row. Ours."""
    blanked: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the prompt's words that the strong wording leaves blank; ours."""
    threshold: float = Field(default=0.95, gt=0.0, lt=1.0)
    """Least probability of an accepted label; tau of the paper."""
    temperature: float = Field(default=1.0, gt=0.0)
    """Divides the log-probabilities; T of the paper."""
    weight: float = Field(default=1.0, ge=0.0)
    """Factor of the loss of these rows; lambda_u of the paper."""
    n_prompts: int | None = Field(default=None, ge=1)
    """Prompts drawn without replacement; None takes all."""

    @field_validator("weak")
    @classmethod
    def _weak_has_places(cls, value: str) -> str:
        return check_places(value, "prompt")

    @field_validator("strong")
    @classmethod
    def _strong_has_places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("no wording is given; give one with the place {prompt}")
        return tuple(check_places(one, "prompt") for one in value)


class _Label(NamedTuple):
    prompt: Prompt
    options: tuple[str, ...]
    best: int
    p: float


@data_methods.register("pseudo_labels", PseudoLabelsConfig)
def pseudo_labels(config: PseudoLabelsConfig) -> DataMethod:
    """Own labels of which the model is sure, under another wording."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        rng = workbench.rng
        prompts = draw(workbench.prompts, config.n_prompts, rng)
        dropped: Counter[str] = Counter()
        labels = _label(config, prompts, workbench, dropped)
        accepted = [label for label in labels if label.p >= config.threshold]
        dropped["not sure enough"] += len(labels) - len(accepted)
        made = [_row(label, config, workbench.round, rng) for label in accepted]
        metrics = {"candidates": float(len(prompts)), **_metrics(labels, accepted, config.key_column)}
        return DataStep([*rows, *made], dict(dropped), metrics)

    return method


def options_of(prompt: Prompt, given: Sequence[str], column: str) -> tuple[str, ...]:
    """The allowed answers of a prompt: those given, else those of its column; empty where there are not two."""
    found = given or prompt.metadata.get(column)
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) and one for one in found):
        return ()
    return tuple(dict.fromkeys(found)) if len(set(found)) >= 2 else ()


def _label(
    config: PseudoLabelsConfig, prompts: Sequence[Prompt], workbench: Workbench, dropped: Counter[str]
) -> list[_Label]:
    asked = [(prompt, options_of(prompt, config.options, config.options_column)) for prompt in prompts]
    known = [(prompt, options) for prompt, options in asked if options]
    dropped["no options"] += len(asked) - len(known)
    chats = [
        _worded(prompt, fill(config.weak, {"prompt": last_text(prompt.messages), "options": ", ".join(options)}))
        for prompt, options in known
    ]
    found = label_logprobs(workbench.subject, chats, [options for _, options in known], workbench.label("labels"))
    labels: list[_Label] = []
    for (prompt, options), logprobs in zip(known, found, strict=True):
        if logprobs is None:
            dropped["could not be scored"] += 1
            continue
        scaled = logprobs / config.temperature
        p = np.exp(scaled - np.logaddexp.reduce(scaled))
        labels.append(_Label(prompt, options, int(p.argmax()), float(p.max())))
    return labels


def _row(label: _Label, config: PseudoLabelsConfig, round: int, rng: np.random.Generator) -> DataRow:
    template = config.strong[int(rng.integers(len(config.strong)))]
    words = last_text(label.prompt.messages).split(" ")
    blank = rng.random(len(words)) < config.blanked
    text = " ".join("___" if gone else word for word, gone in zip(words, blank, strict=True))
    row = make_row(
        _worded(label.prompt, fill(template, {"prompt": text})),
        label.options[label.best],
        origin="self",
        method="pseudo_labels",
        round=round,
        parents=(label.prompt.prompt_id,),
        score=label.p,
    )
    return row.model_copy(update={"weight": config.weight})


def _worded(prompt: Prompt, text: str) -> tuple[Message, ...]:
    return (*prompt.messages[:-1], Message(role="user", content=text))


def _metrics(labels: Sequence[_Label], accepted: Sequence[_Label], key_column: str) -> dict[str, float]:
    metrics = {
        "accepted_share": share_of(len(accepted), len(labels)),
        "mean_confidence": share_of(sum(label.p for label in labels), len(labels)),
    }
    counts = Counter(label.best for label in accepted)
    places = range(max((len(label.options) for label in labels), default=0))
    shares = np.array([share_of(counts[place], len(accepted)) for place in places])
    metrics |= {f"class_{place}_share": float(share) for place, share in zip(places, shares, strict=True)}
    if accepted:
        positive = shares[shares > 0]
        metrics["class_entropy_nats"] = float(-(positive * np.log(positive)).sum())
        metrics["mean_accepted_confidence"] = share_of(sum(label.p for label in accepted), len(accepted))
    for name, some in (("accuracy", labels), ("accepted_accuracy", accepted)):
        keyed = [label for label in some if key_column in label.prompt.metadata]
        right = sum(label.options[label.best] == label.prompt.metadata[key_column] for label in keyed)
        if keyed:
            metrics[name] = share_of(right, len(keyed))
    return metrics
