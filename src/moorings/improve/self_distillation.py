"""Self-distillation: the model is trained on its own answers.

Two forms. `samples` (simple self-distillation, arXiv:2604.01193): draw y ~ p_T,k(. | x) at a set temperature and
truncation, and train on (x, y) as it is: no verifier, so nothing in this method can notice drift.
`demonstrated` (after SDFT, arXiv:2601.19897, and self-distillation fine-tuning, arXiv:2402.13669): for each row (x, c)
made so far, draw y ~ p(. | x, c) with the demonstration c in the prompt, and train on (x, y) with the plain prompt, so
that the new skill arrives in the model's own words and less is forgotten.

Left out: SDFT's token-wise divergence between teacher and student on the student's samples; here the teacher's sample
is trained on, which needs no second model in memory. What it must show: less forgetting than training on (x, c).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from moorings.errors import ConfigError
from moorings.improve.asking import Asking, as_prompt, ask_all, check_places, draw, fill, last_text, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods, make_row
from moorings.records import Message, Prompt

__all__ = ["SelfDistillationConfig", "self_distillation"]

_DEMONSTRATION = (
    "{prompt}\n\nThis is an example of a response to the question:\n{demonstration}\n\n"
    "Now answer with a response of your own, including the thinking process."
)


class SelfDistillationConfig(Asking):
    """Settings of `self_distillation`."""

    mode: Literal["samples", "demonstrated"] = "samples"
    """`samples` adds answers to the round's prompts; `demonstrated` replaces each row so far by the model's own answer
    under that row as a demonstration."""
    n_prompts: int | None = Field(default=None, ge=1)
    """Prompts drawn for `samples`, without replacement; None takes all."""
    n_samples: int = Field(default=1, ge=1)
    """Answers a prompt, for `samples`."""
    template: str = _DEMONSTRATION
    """How `demonstrated` shows the demonstration; {prompt} and {demonstration} are the places. The wording is ours after
    the papers'."""
    temperature: float = Field(default=1.6, ge=0.0)
    """As published with the models of arXiv:2604.01193; use 1 for `demonstrated`."""
    top_p: float = Field(default=0.8, gt=0.0, le=1.0)
    """As published with the models of arXiv:2604.01193."""
    top_k: int = Field(default=20, ge=0)
    """As published with the models of arXiv:2604.01193."""

    @model_validator(mode="after")
    def _has_places(self) -> SelfDistillationConfig:
        check_places(self.template, "prompt", "demonstration")
        if self.mode == "demonstrated" and (self.n_samples, self.n_prompts) != (1, None):
            raise ConfigError(
                "self_distillation: n_samples and n_prompts belong to mode 'samples'; leave them out for 'demonstrated'"
            )
        return self


@data_methods.register("self_distillation", SelfDistillationConfig)
def self_distillation(config: SelfDistillationConfig) -> DataMethod:
    """Own answers as training data, plain or under a demonstration."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        if config.mode == "samples":
            return _samples(config, rows, workbench)
        return _demonstrated(config, rows, workbench)

    return method


def _samples(config: SelfDistillationConfig, rows: list[DataRow], workbench: Workbench) -> DataStep:
    prompts = draw(workbench.prompts, config.n_prompts, workbench.rng)
    answers = ask_all(
        workbench.subject,
        prompts,
        workbench.label("samples"),
        decoding=config.decoding(),
        n_samples=config.n_samples,
    )
    made: list[DataRow] = []
    dropped: dict[str, int] = {}
    for prompt, some in zip(prompts, answers, strict=True):
        for answer in some:
            text, reason = config.usable(answer)
            if reason:
                dropped[reason] = dropped.get(reason, 0) + 1
                continue
            parents = (prompt.prompt_id, answer.key)
            made.append(
                make_row(
                    prompt.messages,
                    text,
                    origin="self",
                    method="self_distillation",
                    round=workbench.round,
                    parents=parents,
                )
            )
    return DataStep([*rows, *made], dropped, _metrics(len(made), sum(map(len, answers)), made))


def _demonstrated(config: SelfDistillationConfig, rows: list[DataRow], workbench: Workbench) -> DataStep:
    prompts = [_with_demonstration(row, config.template) for row in rows]
    answers = ask_all(workbench.subject, prompts, workbench.label("demonstrated"), decoding=config.decoding())
    made: list[DataRow] = []
    dropped: dict[str, int] = {}
    n_copied = 0
    for row, some in zip(rows, answers, strict=True):
        text, reason = config.usable(some[0])
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        n_copied += text.strip() == row.response.strip()
        parents = (row.row_id, some[0].key)
        made.append(
            make_row(
                row.prompt, text, origin="self", method="self_distillation", round=workbench.round, parents=parents
            )
        )
    metrics = _metrics(len(made), len(rows), made) | {"candidates": 0.0, "copied_share": share_of(n_copied, len(made))}
    return DataStep(made, dropped, metrics)


def _with_demonstration(row: DataRow, template: str) -> Prompt:
    text = fill(template, {"prompt": last_text(row.prompt), "demonstration": row.response})
    return as_prompt((*row.prompt[:-1], Message(role="user", content=text)), row.row_id)


def _metrics(n_made: int, n_asked: int, made: list[DataRow]) -> dict[str, float]:
    words = sum(len(row.response.split()) for row in made)
    return {
        "candidates": float(n_asked),
        "usable_share": share_of(n_made, n_asked),
        "mean_words": share_of(words, n_made),
    }
