"""What a published set becomes: items with options, or prompts with a checker, each of one kind only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from moorings.errors import InputError
from moorings.probes.files import ItemSet
from moorings.probes.item import Item, Kind, Option
from moorings.records import Interaction, Prompt, SampleStatus, content_hash
from moorings.registry import Registry
from moorings.subjects.tables import Row, RowReader, hash_source

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "Located",
    "Mean",
    "OpenSet",
    "assemble",
    "fixed_sets",
    "make_item",
    "mean_over_clusters",
    "rotate",
    "rows_under",
]

_NO_ANSWER = frozenset({SampleStatus.FAILED, SampleStatus.TOO_LONG})
_Z95 = 1.96


@dataclass(frozen=True)
class OpenSet:
    """Prompts that are answered in free text, and what is read from an answer."""

    name: str
    kind: Kind
    prompts: tuple[Prompt, ...]
    check: Callable[[Prompt, str], float]
    """Value of an answer in [0, 1]. Texts are untrusted."""
    measure: str
    """What the value is the share of, such as `right answers`."""
    about: dict[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    """Parts in which the value means another thing; a set with several is never averaged as a whole."""

    def values(self, answers: Sequence[Interaction]) -> Float[np.ndarray, " n"]:
        """Value of each answer to the prompts, in their order; NaN where there is no answer.

        Raises:
            InputError: Answers to other prompts.
        """
        wanted = [prompt.prompt_id for prompt in self.prompts]
        if [answer.prompt_id for answer in answers] != wanted:
            raise InputError(f"{len(answers)} answers are not those to the {len(wanted)} prompts of '{self.name}'")
        return np.array(
            [
                np.nan if answer.status in _NO_ANSWER else self.check(prompt, answer.response)
                for prompt, answer in zip(self.prompts, answers, strict=True)
            ],
            dtype=np.float64,
        )


fixed_sets: Registry[Callable[..., ItemSet | OpenSet]] = Registry(
    "probe set",
    builtin={
        "bbq": "moorings.probes.fixed.bias_pairs",
        "crows_pairs": "moorings.probes.fixed.bias_pairs",
        "gsm8k": "moorings.probes.fixed.maths",
        "model_written": "moorings.probes.fixed.model_written",
        "svamp": "moorings.probes.fixed.maths",
        "truthfulqa": "moorings.probes.fixed.truthfulqa",
        "winobias": "moorings.probes.fixed.bias_pairs",
        "winogenerated": "moorings.probes.fixed.model_written",
        "xstest": "moorings.probes.fixed.xstest",
    },
)
"""Functions of a path, with further keywords as settings, that read a downloaded set."""


class Located(NamedTuple):
    """A row, and where it stands."""

    path: Path
    number: int
    row: Row

    def fail(self, reason: str) -> NoReturn:
        """Give up on the file, naming it and the row."""
        raise InputError(f"{self.path}, row {self.number}: {reason}")

    def get(self, *names: str) -> Any:
        """The first of these columns that is there; None if none is. Capitals do not count."""
        columns = {name.casefold(): value for name, value in self.row.items()}
        return next((columns[name] for name in names if name in columns), None)

    def text(self, *names: str) -> str:
        """As `get`, but a visible text.

        Raises:
            InputError: There is none.
        """
        value = self.get(*names)
        if not isinstance(value, str) or not value.strip():
            self.fail(f"needs a text in column {' or '.join(names)}; found columns {sorted(self.row)}")
        return value.strip()


def rows_under(path: Path, endings: tuple[str, ...] = (".jsonl", ".jsonl.gz")) -> Iterator[Located]:
    """Rows of a file, or of all files with these endings in a folder and those below it, by name.

    Raises:
        InputError: Missing, unreadable, or a folder without such files.
    """
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(endings))
        if not files:
            raise InputError(f"{path} holds no file that ends in {' or '.join(endings)}; name the file itself")
    for file in files:
        for number, row in RowReader(file):
            yield Located(file, number, row)


def rotate(n: int, *seed: object) -> int:
    """A place from 0 to n - 1 that only the content decides, so that stored keys stand evenly."""
    return int(content_hash([str(part) for part in seed])[:12], 16) % n


def make_item(
    subtask: str,
    kind: Kind,
    prompt: str,
    texts: Sequence[str],
    key_at: int,
    *,
    cluster: str | None = None,
    structure: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Item:
    """An item with letters for symbols; its name follows from its content.

    Raises:
        ValueError: More options than letters, or fewer than two.
    """
    if not 2 <= len(texts) <= len(ascii_uppercase):
        raise ValueError(f"{len(texts)} options; allowed: 2 to {len(ascii_uppercase)}")
    digest = content_hash([subtask, prompt, list(texts), key_at])[:16]
    return Item(
        item_id=f"{subtask}-{digest}",
        cluster_id=f"{subtask}-{cluster or digest}",
        subtask=subtask,
        kind=kind,
        prompt=prompt,
        options=tuple(Option(symbol=ascii_uppercase[at], text=text, key=at == key_at) for at, text in enumerate(texts)),
        key=ascii_uppercase[key_at],
        structure=structure,
        metadata=metadata or {},
    )


def assemble(name: str, items: Sequence[Item], path: Path, kind: Kind, source: str, **about: Any) -> ItemSet:
    """A set of items of one kind; rows that are there twice keep both, under two names.

    Raises:
        InputError: No item.
    """
    if not items:
        raise InputError(
            f"{path} holds no row for '{name}'; check that it is the published file, or relax the settings"
        )
    seen: dict[str, int] = {}
    named = []
    for item in items:
        seen[item.item_id] = seen.get(item.item_id, 0) + 1
        n = seen[item.item_id]
        named.append(item if n == 1 else item.model_copy(update={"item_id": f"{item.item_id}-{n}"}))
    facts = {"kind": kind, "source": source, "file": path.name, "file_sha256": hash_source(path)}
    return ItemSet(name, tuple(named), facts | about)


class Mean(NamedTuple):
    """A mean over clusters, with mean +- 1.96 standard errors."""

    estimate: float
    low: float
    high: float
    n: int
    """Clusters."""


def mean_over_clusters(values: Float[np.ndarray, " n"], clusters: Sequence[str]) -> Mean:
    """Mean of values, each cluster first averaged to one value; NaN values are left out.

    >>> mean_over_clusters(np.array([0.0, 1.0, 1.0]), ["a", "a", "b"])[0]
    0.75
    """
    found: dict[str, list[float]] = {}
    for value, cluster in zip(values.tolist(), clusters, strict=True):
        if not np.isnan(value):
            found.setdefault(cluster, []).append(value)
    means = np.array([np.mean(group) for group in found.values()])
    n = len(means)
    estimate = float(means.mean()) if n else float("nan")
    half = _Z95 * float(means.std(ddof=1)) / n**0.5 if n > 1 else float("nan")
    return Mean(estimate, estimate - half, estimate + half, n)
