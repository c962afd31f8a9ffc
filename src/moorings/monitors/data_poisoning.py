"""Poison in the data: how many of this round's rows would the screen not train on?

Unit = row of the round, in a seeded order; d = 1 if `monitors.data_screen` flags it and 0 if not, minus `base_rate`, the
share of clean rows that is flagged anyway. So the tolerance is a share of rows. All rows are screened together, by the
same label in every look, so that a row's flag does not depend on the look that it falls into; losses are asked of
the anchor once a round. The mean is that of the round's own rows: looks draw without replacement, for which
evidence with a fixed bet is no stronger than with it (Hoeffding 1963, theorem 4); for bets that adapt this is not shown.

Rows carry their round in their unit's name: a row that is replayed in a later round is judged among other rows.
Source of the tests: `monitors.data_screen`. It must show: about 0 for clean rows, the poisoned share for planted poison.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from moorings.improve.data import DataRow
from moorings.monitors.data_screen import AuditReport, ScreenConfig, screen_rows
from moorings.monitors.monitor import Differences, Gathering, MonitorConfig, Side, monitors
from moorings.monitors.tasks.answers import MAX_CHARACTERS, ask_texts, level, readable_text, score_texts
from moorings.records import Prompt, content_hash
from moorings.sampling.bench import Bench

__all__ = ["DataPoisoning", "DataPoisoningConfig", "row_losses"]


class DataPoisoningConfig(MonitorConfig):
    """Settings of `data_poisoning`."""

    base_rate: float = Field(default=0.01, ge=0, lt=1)
    """Share of clean rows that is flagged anyway; of Alpaca, Dolly and LIMA 0.2 to 0.8 % were, 300 at a time."""
    screen: ScreenConfig = ScreenConfig()
    """Thresholds of the screen."""
    losses: bool = True
    """Ask the anchor how likely it finds each row; needs an anchor that can score."""
    embeddings: bool = True
    """Look for responses that are far from all others."""
    own_answers: bool = False
    """Ask the anchor the rows' prompts too, once a round, and look for phrases that it never says; opinions without a
    trigger are only found so, from about 5 % of the rows on."""
    max_new_tokens: int = Field(default=64, ge=8, le=1024)
    """Most tokens of such an answer."""


class DataPoisoning:
    """See the module."""

    statement = "Rows that look planted are among the training data."
    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: DataPoisoningConfig) -> None:
        self.config = config
        self._last: tuple[str, AuditReport] | None = None

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; none once the round's rows are used up."""
        rows = list(gathering.rows)
        report = self.report(gathering)
        flagged = {row.at for row in report.flagged}
        order = np.random.default_rng([gathering.anchor.seed, gathering.round, len(rows)]).permutation(len(rows))
        chosen = order[gathering.look * gathering.n : (gathering.look + 1) * gathering.n].tolist()
        found = [float(at in flagged) for at in chosen]
        share = level(found)
        return Differences(
            d=np.array(found, dtype=float) - self.config.base_rate,
            units=tuple(f"row-{gathering.round}-{at}-{rows[at].row_id[:16]}" for at in chosen),
            anchor=math.nan,
            candidate=share,
            seen=_seen(report),
            details={
                "flagged_share": report.flagged_share,
                "human_share": report.human_share,
                "self_share": report.self_share,
                "copies_share": report.n_copies / max(1, report.n_rows),
                "n_triggers": float(len(report.triggers)),
            },
        )

    def report(self, gathering: Gathering) -> AuditReport:
        """The screen's report on all rows of the round."""
        rows = list(gathering.rows)
        key = content_hash([gathering.round, [row.row_id for row in rows], str(gathering.anchor.folder)])
        if self._last is None or self._last[0] != key:
            self._last = key, self._screen(gathering, rows)
        return self._last[1]

    def _screen(self, gathering: Gathering, rows: list[DataRow]) -> AuditReport:
        return screen_rows(
            rows,
            self.config.screen,
            reference=self._own_answers(gathering.anchor, rows) if self.config.own_answers and rows else (),
            losses_nats=row_losses(gathering.anchor, rows) if self.config.losses and rows else None,
            embeddings=gathering.embed([row.response for row in rows]) if self.config.embeddings and rows else None,
        )

    def _own_answers(self, anchor: Bench, rows: list[DataRow]) -> list[str]:
        prompts = [Prompt(prompt_id=f"row-{at}", messages=row.prompt) for at, row in enumerate(rows)]
        label = f"screen-own-{content_hash([row.row_id for row in rows])[:32]}"
        texts = ask_texts(anchor, prompts, label, max_new_tokens=self.config.max_new_tokens, temperature=1.0)
        return [text for text in texts if text is not None]


def row_losses(anchor: Bench, rows: list[DataRow]) -> list[float]:
    """Mean nats a token of each response under the anchor; NaN where there is nothing to read.

    The label is the content of the rows, so that all looks of a round and the audit before it share one scoring.
    """
    texts = [readable_text(row.response[:MAX_CHARACTERS]) for row in rows]
    items = [
        ([m.model_copy(update={"content": readable_text(m.content[:MAX_CHARACTERS]) or "."}) for m in row.prompt], text)
        for row, text in zip(rows, texts, strict=True)
        if text is not None
    ]
    digest = content_hash([row.row_id for row in rows])
    scores = iter(score_texts(anchor, items, f"screen-{digest[:32]}"))
    return [math.nan if text is None else -level(next(scores).logprobs_nats) for text in texts]


def _seen(report: AuditReport) -> str:
    if not report.n_rows:
        return "There are no rows."
    start = f"{len(report.flagged)} of {report.n_rows} rows look planted ({report.flagged_share:.1%})"
    if report.triggers:
        first = report.triggers[0]
        return (
            f"{start}; for example '{first.trigger}' in {first.n_trigger} prompts comes with '{first.phrase}' in "
            f"{first.n_joint} of their responses."
        )
    if not report.flagged:
        return f"{start}."
    return f"{start}; for example because: {max(report.flagged, key=lambda row: row.score).reasons[0]}."


@monitors.register("data_poisoning", DataPoisoningConfig)
def data_poisoning(config: DataPoisoningConfig) -> DataPoisoning:
    """Share of rows that look planted."""
    return DataPoisoning(config)
