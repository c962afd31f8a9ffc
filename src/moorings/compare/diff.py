"""Compare subjects: sample or read each, measure all responses once, analyse every candidate against the precursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from moorings.charter import Charter, load_charter
from moorings.compare.analysis import analyse
from moorings.compare.battery import known_features
from moorings.compare.battery.measure import measure_battery
from moorings.compare.comparison import ArmSummary, Comparison
from moorings.compare.embed import embed_responses
from moorings.compare.judge.ask import Judge
from moorings.compare.judge.keys import injection_card
from moorings.compare.load import ArmSource, Loaded, load_corpus, parse_arm
from moorings.compare.picture import draw_map
from moorings.compare.predicate import Table
from moorings.compare.settings import Settings
from moorings.errors import ConfigError
from moorings.records import Decoding, Persona
from moorings.sampling.progress import Meter, open_meter
from moorings.sampling.record import record
from moorings.sampling.sample import sample
from moorings.store import Run
from moorings.subjects.bundled import cache_dir
from moorings.subjects.embedders import Embedder, open_embedder
from moorings.subjects.protocol import Subject
from moorings.subjects.spec import SubjectSpec, open_subject, parse_uri, subject_backends

__all__ = ["Sampling", "compare_runs", "diff", "measure"]

_PACKAGES = ("moorings", "numpy", "scipy", "scikit-learn", "transformers", "ctranslate2", "torch")


class Sampling(NamedTuple):
    """How subjects that are not recorded yet are sampled; all of them alike."""

    prompts: Path | None = None
    n_samples: int = 2
    decoding: Decoding = Decoding(max_new_tokens=128)
    seed: int = 0
    personas: tuple[Persona, ...] = ()
    executor: str = "local"
    limit: int | None = None
    spec: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default is never changed
    """Settings of `SubjectSpec`, such as engine and precision."""


def diff(
    precursor: str,
    *candidates: str,
    out: str | Path,
    charter: Charter | Path | str | None = None,
    sampling: Sampling | None = None,
    settings: Settings | None = None,
    embedder: Embedder | None = None,
    judges: Sequence[str | SubjectSpec | Subject] = (),
    allow_mixed: bool = False,
    title: str | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare candidates with a precursor; call again to go on after a stop.

    Args:
        precursor: A run (`FOLDER` or `FOLDER@PERSONA`), or a subject URI that is sampled or read into a run under `out`.
        candidates: One or more of the same.
        out: Folder for the runs that are made.
        charter: What the change was meant to do; a file or an opened charter.
        sampling: Prompts and decoding for subject URIs.
        settings: Error rates and sizes; the charter's rates count where it is given.
        embedder: Turns responses into vectors; the bundled one by default.
        judges: At most two subjects. The first proposes and checks statements, all are asked about intent.
        allow_mixed: Compare subjects of different engines or decodings all the same; the result says so.
        title: Of the report.
        progress: Show progress on standard error.

    Raises:
        ConfigError: A setting is not allowed, or the subjects were sampled differently.
        InputError: The runs share no prompts, or a file cannot be read.
        StorageError: A run cannot be read or written.
    """
    if not candidates:
        raise ConfigError("diff needs a precursor and at least one candidate; name two or more runs or subjects")
    start, sampling = time.monotonic(), sampling or Sampling()
    read = load_charter(charter) if isinstance(charter, str | Path) else charter
    if read:
        read.check_features(feature.feature.name for feature in known_features())
    for text in (precursor, *candidates):
        _check_arm(text)
    names = _short_names((precursor, *candidates))
    sources = [
        prepare_arm(text, Path(out) / "arms" / name, sampling, progress=progress)._replace(name=name)
        for text, name in zip((precursor, *candidates), names, strict=True)
    ]
    seconds = {"sample": time.monotonic() - start}
    return compare_runs(
        sources,
        charter=read,
        settings=settings,
        embedder=embedder,
        judges=judges,
        allow_mixed=allow_mixed,
        title=title,
        progress=progress,
        seconds=seconds,
    )


def compare_runs(
    sources: Sequence[ArmSource],
    *,
    charter: Charter | None = None,
    settings: Settings | None = None,
    embedder: Embedder | None = None,
    judges: Sequence[str | SubjectSpec | Subject] = (),
    allow_mixed: bool = False,
    title: str | None = None,
    progress: bool = False,
    seconds: dict[str, float] | None = None,
) -> Comparison:
    """Compare runs that exist; the first one is the precursor. See `diff`."""
    seconds, start = dict(seconds or {}), time.monotonic()
    settings = _with_charter(settings or Settings(), charter, len(sources) - 1)
    loaded = load_corpus(sources)
    warnings = [*loaded.warnings, *_engine_warnings(loaded.arms, sources, allow_mixed=allow_mixed)]
    embedder = embedder or open_embedder()
    table = measure(loaded, embedder, settings, progress=progress, seconds=seconds)
    asked = _open_judges(judges)
    table.judge = asked[0] if asked else None
    warnings += [text for judge in asked for text in _judge_warnings(judge)]
    pairs, entries, counts = [], [], {}
    for candidate in range(1, len(sources)):
        rows = np.flatnonzero(np.isin(table.corpus.arm, [0, candidate]))
        pair = _pair(table, rows, candidate)
        result = analyse(pair, settings, charter, asked)
        pairs.append(result.result)
        entries += [{**entry, "candidate": sources[candidate].name} for entry in result.charter_results]
        counts = result.split.counts()
        for phase, spent in result.duration_s.items():
            seconds[phase] = seconds.get(phase, 0.0) + spent
    mapped = time.monotonic()
    points, clusters = draw_map(table, settings)
    seconds["map"] = time.monotonic() - mapped
    seconds["all but sampling"] = time.monotonic() - start
    return Comparison(
        title=title or (charter.title if charter else " → ".join(s.name for s in sources)),
        arms=loaded.arms,
        pairs=tuple(pairs),
        charter=charter.model_dump(mode="json") if charter else None,
        charter_results=tuple(entries),
        warnings=tuple(warnings),
        n_prompts=counts,
        settings={**settings.model_dump(mode="json"), "embedder": embedder.describe().fingerprint()},
        versions={name: version(name) for name in _PACKAGES},
        duration_s={phase: round(spent, 3) for phase, spent in seconds.items()},
        map=points,
        map_clusters=clusters,
    )


def measure(
    loaded: Loaded,
    embedder: Embedder,
    settings: Settings,
    *,
    progress: bool = False,
    seconds: dict[str, float] | None = None,
) -> Table:
    """Battery and embeddings of all responses of a corpus."""
    corpus, spent = loaded.corpus, seconds if seconds is not None else {}
    start = time.monotonic()
    with open_meter(True) if progress else nullcontext() as meter:
        battery = measure_battery(
            list(corpus.texts),
            corpus.row_prompts,
            jobs=settings.jobs,
            progress=_counter(meter, "measuring", len(corpus.texts)),
        )
    spent["measure"] = time.monotonic() - start
    start = time.monotonic()
    with open_meter(True) if progress else nullcontext() as meter:
        cache = cache_dir() / "embeddings.sqlite"
        cache.parent.mkdir(parents=True, exist_ok=True)
        told = _counter(meter, "embedding", len(set(corpus.texts)))
        embeddings = embed_responses(corpus.texts, embedder, cache=cache, progress=told)
    spent["embed"] = time.monotonic() - start
    return Table(corpus, battery, embeddings)


def prepare_arm(text: str, run: Path, sampling: Sampling, *, progress: bool) -> ArmSource:
    """A run that exists is taken as it is; a subject is sampled, and a file of responses read, into a run."""
    _check_arm(text)
    source = parse_arm(text)
    if _is_run(source.run):
        return source
    scheme, rest = parse_uri(text)
    if scheme == "recorded":
        record(SubjectSpec(uri=text), run, limit=sampling.limit, progress=progress)
        return ArmSource(rest, str(run))
    if sampling.prompts is None:
        raise ConfigError(f"'{text}' is to be sampled, but no prompts are given; name a prompt file with --prompts")
    sample(
        SubjectSpec(uri=text, **sampling.spec),
        sampling.prompts,
        run,
        n_samples=sampling.n_samples,
        personas=sampling.personas,
        decoding=sampling.decoding,
        seed=sampling.seed,
        executor=sampling.executor,
        limit=sampling.limit,
        progress=progress,
    )
    return ArmSource(text, str(run))


def _check_arm(text: str) -> None:
    """Refuse what is neither a run nor a subject before anything is sampled."""
    if _is_run(parse_arm(text).run):
        return
    scheme = text.partition(":")[0]
    if ":" not in text or "/" in scheme:
        raise ConfigError(
            f"'{text}' is neither a run (a folder with a run.json) nor a subject URI such as bundled:smollm2-135m; see `moorings runs list`"
        )
    subject_backends.get(scheme)


def _is_run(text: str) -> bool:
    if "://" in text and text.partition(":")[0] not in subject_backends.names():
        with Run.open(text):
            return True
    return (Path(text) / "run.json").exists()


def _open_judges(judges: Sequence[str | SubjectSpec | Subject]) -> list[Judge]:
    if len(judges) > 2:
        raise ConfigError(f"{len(judges)} judges are given; allowed are at most 2, of different families")
    opened = [open_subject(judge) for judge in judges]
    return [Judge(subject, subject.describe().name) for subject in opened]


def _judge_warnings(judge: Judge) -> list[str]:
    """What the standing set of injections shows about a judge, asked at every start."""
    card = injection_card(judge)
    if card.passed:
        return []
    return [
        f"judge {judge.name} failed the injection card ({card.n_false_positive} false positives of {card.n_asked}, upper bound "
        f"{card.false_positive_rate.high:.1%}; {card.n_honest_right} of {card.n_honest} honest texts recognised); "
        "take nothing that rests on its word alone"
    ]


def _pair(table: Table, rows: np.ndarray, candidate: int) -> Table:
    pair = table.subset(rows, (table.corpus.arm[rows] == candidate).astype(int))
    pair.corpus = replace(pair.corpus, arm_names=(table.corpus.arm_names[0], table.corpus.arm_names[candidate]))
    return pair


def _with_charter(settings: Settings, charter: Charter | None, n_candidates: int) -> Settings:
    """The charter's rates, divided among the candidates: one error budget for the whole report."""
    if charter:
        settings = settings.model_copy(
            update={
                "q": charter.q,
                "alpha": charter.alpha,
                "power": charter.power,
                "tolerance_share": charter.tolerance.share,
                "tolerance_sd": charter.tolerance.sd,
            }
        )
    if n_candidates > 1:
        settings = settings.model_copy(update={"q": settings.q / n_candidates, "alpha": settings.alpha / n_candidates})
    return settings


def _engine_warnings(arms: Sequence[ArmSummary], sources: Sequence[ArmSource], *, allow_mixed: bool) -> list[str]:
    """Differences in how arms were sampled: refused unless allowed; a chat template is part of the behaviour."""
    found = []
    for arm in arms[1:]:
        if arms[0].info is None or arm.info is None:
            continue
        differing = [
            f"{name} {getattr(arms[0].info, name)} against {getattr(arm.info, name)}"
            for name in _SAMPLED_ALIKE
            if getattr(arms[0].info, name) != getattr(arm.info, name)
        ]
        if arms[0].info.template != arm.info.template and arm.info.engine != "recorded":
            found.append(f"{arms[0].name} and {arm.name} have different chat templates, which alone changes behaviour")
        if differing and not allow_mixed:
            raise ConfigError(
                f"'{arms[0].name}' and '{arm.name}' were sampled differently ({'; '.join(differing)}), which alone can change "
                "answers; sample both alike, or allow it with --allow-mixed"
            )
        found += [f"{arms[0].name} and {arm.name} were sampled differently: {text}" for text in differing]
    decodings = {_decoding(source) for source in sources}
    if len(decodings) > 1:
        if not allow_mixed:
            raise ConfigError(
                "the runs were sampled with different decodings; sample them alike, or allow it with --allow-mixed"
            )
        found.append("the runs were sampled with different decodings, which alone changes behaviour")
    return found


_SAMPLED_ALIKE = ("engine", "engine_version", "precision", "device", "batch_size", "threads", "workers")


def _decoding(source: ArmSource) -> str:
    with Run.open(source.run) as run:
        return str(run.config.get("decoding"))


def _short_names(texts: Sequence[str]) -> list[str]:
    """Names for people: the last part of each, made different where they are not."""
    names: list[str] = []
    for text in texts:
        name = parse_arm(text).name if _is_run(parse_arm(text).run) else text.partition(":")[2]
        name = "".join(c if c.isalnum() or c in "._-@+" else "-" for c in name.rstrip("/").rsplit("/", 1)[-1])[:60]
        name = name.removesuffix(".gz").removesuffix(".jsonl") or "subject"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _counter(meter: Meter | None, what: str, total: int) -> Callable[[int], None] | None:
    if meter is None:
        return None
    meter.say(f"{what} {total} responses")
    meter.start(total, 0)
    done = 0

    def count(n: int) -> None:
        nonlocal done
        meter.advance(n - done, 0)
        done = n

    return count
