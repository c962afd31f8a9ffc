"""An audit of any multiple-choice set: the filter chain, and what it found in a form that people read.

Sets of other makers have no causal graphs, so the filters that need one are not applicable; what remains are validity of
the form, repeated stems, diversity, place, length and words of keys, and learners that see a part of the item only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorings.charter_run import Use
from moorings.probes.files import ItemSet
from moorings.probes.filters.by_subtask import grouped
from moorings.probes.filters.chain import ORDER, ChainReport, Stage, run_chain
from moorings.probes.readers import Kind, load

__all__ = ["AuditReport", "AuditRow", "audit", "render_audit"]

_MAX_ROWS = 60
_MAX_SHOWN = 3
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&@:$!]|(?<=www)\.)", re.IGNORECASE)
_SIGNS = {"pass": "passes", "fail": "FAILS", "not applicable": "not judged"}


@dataclass(frozen=True)
class AuditRow:
    """The figures of one subtask or behaviour; None where it could not be measured."""

    subtask: str
    n_items: int
    kind: str
    chance: float | None
    choices_only: dict[str, float]
    """Accuracy from the options alone, by family of learners."""
    context_only: dict[str, float]
    """Accuracy from the stem alone, by family of learners."""
    repeated_stems: int | None
    """Items minus different stems."""
    longest: float | None
    """Share of items whose key is the longest option."""
    places: tuple[float, ...]
    """Share of keys at each place."""


@dataclass(frozen=True)
class AuditReport:
    """What the filters found in a set."""

    name: str
    format: str
    n_items: int
    n_bad: int
    """Rows of the file that are no item."""
    chain: ChainReport
    rows: tuple[AuditRow, ...]

    @property
    def passed(self) -> bool:
        """Whether no filter fails the set."""
        return self.chain.passed

    def as_json(self) -> dict[str, Any]:
        """Everything but the items, for `--json`."""
        return {
            "name": self.name,
            "format": self.format,
            "n_items": self.n_items,
            "n_bad": self.n_bad,
            "passed": self.passed,
            "rows": [vars(row) for row in self.rows],
            "filters": [
                {
                    "filter": stage.name,
                    "challenge": stage.challenge,
                    "statement": stage.statement,
                    "n_in": stage.n_in,
                    "n_out": stage.n_out,
                    "verdict": stage.report.verdict,
                    "said": stage.report.said,
                    "flags": [flag._asdict() for flag in stage.report.flags],
                    "figures": stage.report.figures,
                    "examples": list(stage.report.examples),
                }
                for stage in self.chain.stages
            ],
        }


def audit(
    source: Path | str | ItemSet,
    *,
    format: str = "auto",
    kind: Kind | None = None,
    uses: Sequence[Use] | None = None,
    skip_bad: bool = False,
) -> AuditReport:
    """Run the filter chain over a multiple-choice set.

    Args:
        source: A file of any format in `readers.FORMATS`, or items.
        format: Its format, or `auto`.
        kind: `disposition` for sets without right answers: leaks are then measured and not judged. None goes by the format.
        uses: Filters with their settings; None takes all.
        skip_bad: Set rows aside that are no item, instead of raising.

    Raises:
        ConfigError: An unknown format, filter or setting.
        InputError: The file cannot be read as multiple-choice data.
    """
    if isinstance(source, ItemSet):
        items, n_bad, form = source, 0, "moorings"
    else:
        items, n_bad, form = load(source, format=format, kind=kind, skip_bad=skip_bad)
    chain = run_chain(items, [Use(use=name) for name in ORDER] if uses is None else uses)
    return AuditReport(items.name, form, len(items.items), n_bad, chain, _rows(items, chain))


def _rows(items: ItemSet, chain: ChainReport) -> tuple[AuditRow, ...]:
    figures: dict[str, dict[str, float]] = {name: report.figures for name, report in chain.by_filter().items()}

    def of(name: str, subtask: str) -> dict[str, float]:
        start = f"{subtask}: "
        return {key.removeprefix(start): v for key, v in figures.get(name, {}).items() if key.startswith(start)}

    rows = []
    for subtask, some in grouped(items.items).items():
        form, choices, context = of("artefacts", subtask), of("choices_only", subtask), of("context_only", subtask)
        repeated = of("duplicates", subtask).get("repeated stems")
        rows.append(
            AuditRow(
                subtask=subtask,
                n_items=len(some),
                kind=some[0].kind,
                chance=choices.get("chance", form.get("chance")),
                choices_only={k.removesuffix(" accuracy"): v for k, v in choices.items() if k.endswith(" accuracy")},
                context_only={k.removesuffix(" accuracy"): v for k, v in context.items() if k.endswith(" accuracy")},
                repeated_stems=None if repeated is None else int(repeated),
                longest=form.get("longest"),
                places=tuple(v for k, v in form.items() if k.startswith("key at place ")),
            )
        )
    return tuple(rows)


def render_audit(report: AuditReport) -> str:
    """The audit as Markdown that also reads as plain text; every text of the set is escaped."""
    verdict = "No filter fails this set." if report.passed else "This set has faults."
    bad = f" {report.n_bad:,} rows of the file are no item." if report.n_bad else ""
    lines = [f"# Audit of {_plain(report.name)}", "", f"**{verdict}** {report.n_items:,} items.{bad}", ""]
    if any(row.kind == "disposition" for row in report.rows):
        lines += [
            "These items ask for a disposition: their key shows a behaviour and is not the right answer. That options "
            "betray it is expected there and is not judged.",
            "",
        ]
    lines += _table(
        "## Filters", ("Filter", "In", "Flagged", "Out", "Verdict", "What was seen"), map(_filter, report.chain.stages)
    )
    header = (
        "Set",
        "Items",
        "Chance",
        "Options alone",
        "Stem alone",
        "Repeated stems",
        "Key is longest",
        "Place of key",
    )
    lines += _table("## By set", header, map(_figures, report.rows))
    for stage in report.chain.stages:
        lines += _examples(stage)
    return "\n".join(lines).rstrip() + "\n"


def _filter(stage: Stage) -> tuple[str, ...]:
    report = stage.report
    counts = (f"{stage.n_in:,}", f"{len(report.flags):,}", f"{stage.n_out:,}")
    return (_plain(stage.name), *counts, _SIGNS[report.verdict], _plain(report.said, 600))


def _figures(row: AuditRow) -> tuple[str, ...]:
    return (
        _plain(row.subtask),
        f"{row.n_items:,}",
        _share(row.chance),
        _share(max(row.choices_only.values(), default=None)),
        _share(max(row.context_only.values(), default=None)),
        "" if row.repeated_stems is None else f"{row.repeated_stems:,}",
        _share(row.longest),
        " ".join(f"{share:.2f}" for share in row.places),
    )


def _examples(stage: Stage) -> list[str]:
    if not stage.report.examples or stage.name.endswith(" again"):
        return []
    lines = [f"## Examples: {_plain(stage.name)}", ""]
    for example in stage.report.examples[:_MAX_SHOWN]:
        texts = {
            key: " / ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            for key, value in example.items()
        }
        lines += [
            f"- {_plain(texts.pop('item_id', 'the set'))}",
            *(f"  - {_plain(k)}: {_plain(v, 300)}" for k, v in texts.items()),
        ]
    return [*lines, ""]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = list(rows)
    lines = [title, "", f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in cells[:_MAX_ROWS]]
    rest = len(cells) - _MAX_ROWS
    return [*lines, "", *([f"And {rest} more.", ""] if rest > 0 else [])]


def _plain(text: str, limit: int = 200) -> str:
    """Text on one line without anything that acts or hides: what is not printable is named, markup is escaped."""
    short = " ".join(text[:limit].split()) + (" …" if len(text) > limit else "")
    named = "".join(c if c.isprintable() else f"⟨U+{ord(c):04X}⟩" for c in short)
    return _SPECIAL.sub(r"\\\1", named)
