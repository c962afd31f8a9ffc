"""Question sets whose answers are known; the functions behind `moorings probe`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from moorings.errors import ConfigError
from moorings.probes.audit import AuditReport, audit
from moorings.probes.files import ItemSet
from moorings.probes.live.track import LiveSettings, LiveTrack
from moorings.probes.orders import Orders
from moorings.probes.sets import REFLECTIVITY, open_set

if TYPE_CHECKING:
    from moorings.probes.answers import AnswerSheet
    from moorings.probes.framing import Framing
    from moorings.probes.live.training_sets import TrainingSet
    from moorings.probes.metrics.profile import Profile
    from moorings.probes.runner import Asking
    from moorings.subjects.spec import SubjectSpec

__all__ = ["Asked", "Built", "LiveSettings", "ask", "audit", "build", "export", "live"]

_PUBLISHED = "2026-01-01"
"""Date on data cards: a fixed one, so that equal sets have equal cards."""


@dataclass(frozen=True)
class Asked:
    """What a subject answered."""

    profile: Profile
    sheet: AnswerSheet
    report: dict[str, Path]
    """Files of the report by `json`, `markdown` and `html`."""


@dataclass(frozen=True)
class Built:
    """A set that was made."""

    items: ItemSet
    path: Path
    card: Path
    """Data card (Croissant)."""
    audit: AuditReport
    """What the filters said of all items that were made."""


def ask(
    subject: SubjectSpec | str,
    items: ItemSet | str = REFLECTIVITY,
    out: Path | str | None = None,
    *,
    n: int = 200,
    seed: int = 0,
    form: int = 0,
    orders: Orders = "balanced",
    observed: bool = False,
    self_other: bool = False,
    mode: Asking = "auto",
    progress: bool = False,
) -> Asked:
    """Ask a model, score its answers and write the report; call again with the same settings to resume or to read.

    Args:
        subject: Who is asked.
        items: A set, or what `open_set` takes: `reflectivity`, `S1` to `S5`, a file, or `NAME:PATH`.
        out: Folder of answers and report; by default one under runs/ named after subject and set.
        n: Items of each subtask that is built.
        seed: Of built items, and of the orders.
        form: Lexicon of built items.
        orders: `all`, `balanced` or `stored`.
        observed: Ask under 'you are observed' and 'you are not' as well.
        self_other: Ask about itself and about another model as well.
        mode: `logprobs`, `text`, or `auto`.
        progress: Show a bar.

    Raises:
        ConfigError: No such set, order or mode, or one that the subject cannot do.
        StorageError: The folder holds answers to something else.
        BackendError: The engine failed on every attempt.
    """
    from moorings.probes.metrics.profile import profile
    from moorings.probes.runner import ask as put
    from moorings.report.probe.write import write_probe_report
    from moorings.subjects.spec import SubjectSpec

    spec = SubjectSpec(uri=subject) if isinstance(subject, str) else subject
    _check_orders(orders)
    chosen = open_set(items, n=n, seed=seed, form=form) if isinstance(items, str) else items
    folder = Path(out or Path("runs") / f"probe-{safe_name(spec.uri)}-{safe_name(chosen.name)}-{chosen.sha256[:8]}")
    framings = _framings(observed, self_other)
    sheet = put(spec, chosen, folder, orders=orders, framings=framings, mode=mode, seed=seed, progress=progress)
    found = profile(sheet, seed=seed)
    title = f"{chosen.name}: {spec.uri}"
    return Asked(found, sheet, write_probe_report([found], folder, sheets=[sheet], title=title))


def build(
    subtask: str, out: Path | str | None = None, *, n: int = 200, seed: int = 0, form: int = 0, keep: bool = False
) -> Built:
    """Make items whose keys are computed, run the filters, and write what passes with a data card.

    Args:
        subtask: `S1` to `S5`, or `reflectivity` for all.
        out: File of items; by default one in the working folder named after the set.
        n: Items of each subtask, an even number.
        seed: Equal seeds give equal items.
        form: Another lexicon, for another round.
        keep: Keep items that a filter flagged.

    Raises:
        ConfigError: No such subtask, or a number out of range.
        StorageError: The file cannot be written.
    """
    from moorings.probes.exports.croissant import write_card
    from moorings.probes.files import write_items

    made = open_set(subtask, n=n, seed=seed, form=form)
    report = audit(made)
    counts = {stage.name: [stage.n_in, stage.n_out] for stage in report.chain.stages}
    kept = ItemSet(made.name, (made if keep else report.chain.clean).items, {**made.about, "filters": counts})
    path = write_items(kept, out or f"{safe_name(made.name)}.jsonl")
    return Built(kept, path, write_card(kept, path, licence="Apache-2.0", published=_PUBLISHED), report)


def export(
    items: ItemSet | str,
    to: str,
    out: Path | str,
    *,
    n: int = 200,
    seed: int = 0,
    form: int = 0,
    orders: Orders = "stored",
) -> Path:
    """Write a set as a task of another harness.

    Args:
        items: A set, or what `open_set` takes.
        to: `inspect` or `lm-eval`.
        out: Folder of the task; files of the same names are replaced.
        n: Items of each subtask that is built.
        seed: Of built items, and of the orders.
        form: Lexicon of built items.
        orders: One row for each order of an item's options.

    Returns:
        The task's file.

    Raises:
        ConfigError: No such set or harness.
    """
    from moorings.probes.exports.inspect_task import export_inspect
    from moorings.probes.exports.lm_eval_task import export_lm_eval

    _check_orders(orders)
    chosen = open_set(items, n=n, seed=seed, form=form) if isinstance(items, str) else items
    if to == "inspect":
        return export_inspect(chosen, out, orders=orders, seed=seed)
    if to == "lm-eval":
        return export_lm_eval(chosen, out, orders=orders, seed=seed)
    raise ConfigError(f"tasks cannot be written for {to!a}; allowed: inspect, lm-eval")


def live(
    subject: SubjectSpec | str,
    out: Path | str,
    settings: LiveSettings | None = None,
    *,
    epochs: int = 2,
    learning_rate: float = 5e-4,
    say: Callable[[str], None] = lambda text: None,
) -> LiveTrack:
    """Ask a model what trainings would change in it, train it, measure, score what it foretold, and write the report.

    Args:
        subject: A local model.
        out: Folder; call again with the same settings to resume.
        settings: Sizes and seeds.
        epochs: Passes over each training set.
        learning_rate: Of the adapters.
        say: Told what is under way.

    Raises:
        ConfigError: Settings out of range.
        BackendError: The engine failed on every attempt.
    """
    from moorings.probes.live.track import run_live_track
    from moorings.report.probe.write import write_probe_report
    from moorings.subjects.spec import SubjectSpec

    spec = SubjectSpec(uri=subject) if isinstance(subject, str) else subject

    def train(made: TrainingSet, seed: int, place: Path) -> SubjectSpec:
        return _trained(spec, made, seed, place, epochs=epochs, learning_rate=learning_rate)

    track = run_live_track(spec, Path(out), train, settings, say=say)
    write_probe_report([], Path(out), live=track, title=f"Live track: {spec.uri}")
    return track


def safe_name(text: str) -> str:
    """A part of a file name.

    >>> safe_name("hf:./my model")
    'hf-my-model'
    """
    kept = "".join(c if c.isalnum() or c in "._" else "-" for c in text).replace("-.-", "-")
    return "-".join(part for part in kept.split("-") if part)[:80]


def _check_orders(orders: str) -> None:
    if orders not in get_args(Orders):
        raise ConfigError(f"orders is {orders!a}; allowed: {', '.join(get_args(Orders))}")


def _framings(observed: bool, self_other: bool) -> tuple[Framing, ...]:
    from moorings.probes.framing import PLAIN, observation
    from moorings.probes.framing import self_other as twins

    return (PLAIN, *(observation() if observed else ()), *(twins() if self_other else ()))


def _trained(
    spec: SubjectSpec, made: TrainingSet, seed: int, place: Path, *, epochs: int, learning_rate: float
) -> SubjectSpec:
    from moorings.charter_run import Use
    from moorings.improve.data import make_row
    from moorings.improve.training import TrainJob, trainers
    from moorings.records import Message

    rows = [
        make_row((Message(role="user", content=prompt),), response, origin="template", method="live", round=1)
        for prompt, response in made.pairs
    ]
    job = TrainJob(start=spec, anchor=spec, rows=rows, out=place / "model", work=place / "work", round=1, seed=seed)
    use = Use.model_validate({"use": "sft", "epochs": epochs, "learning_rate": learning_rate, "batch_size": 8})
    return spec.model_copy(update={"uri": trainers.make(use)(job).uri})
