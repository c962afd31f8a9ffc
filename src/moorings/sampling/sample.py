"""Record a subject's behaviour on a prompt set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from moorings import __version__
from moorings.errors import ConfigError
from moorings.execution import Executor, open_executor
from moorings.records import Decoding, Persona, Prompt, canonical_json
from moorings.sampling.fill import fill_run
from moorings.sampling.plan import make_items
from moorings.sampling.progress import open_meter
from moorings.sampling.prompts import PromptSet, load_prompts
from moorings.sampling.sides import open_sides
from moorings.sampling.worker import USER_INSTRUCTION
from moorings.store import Run, SampleCache, query
from moorings.subjects.bundled import cache_dir
from moorings.subjects.protocol import Metered, Subject
from moorings.subjects.spec import SubjectSpec

__all__ = ["SampleResult", "sample", "summarise"]


class SampleResult(NamedTuple):
    """Where a run is and what it holds."""

    run: str
    """Folder or URL of the run."""
    subject: str
    """Fingerprint of the subject with its decoding."""
    engine: str
    n_samples: int
    """Samples stored in the run."""
    n_drawn: int
    """Samples drawn or read by this call."""
    n_cached: int
    """Samples taken from earlier runs by this call."""
    n_bad: int
    """Malformed rows of the input that were set aside."""
    statuses: dict[str, int]
    """Samples by status; every planned sample is in one of them."""
    n_output_tokens: int
    duration_s: float
    cost_usd: float | None = None
    """What this call's requests cost, where prices are known and the subject was asked from this process."""


def sample(
    subject: str | SubjectSpec | Subject,
    prompts: str | Path | PromptSet,
    run: str | Path,
    *,
    n_samples: int = 1,
    personas: Sequence[Persona] = (),
    decoding: Decoding | None = None,
    seed: int = 0,
    user: str | SubjectSpec | Subject | None = None,
    n_turns: int = 1,
    user_instruction: str = USER_INSTRUCTION,
    executor: str | Executor = "local",
    limit: int | None = None,
    retries: int = 3,
    cache: bool = True,
    progress: bool = False,
    on_point: Callable[[str], None] | None = None,
) -> SampleResult:
    """Record a subject's answers to prompts in a run; call again with the same settings to resume.

    Args:
        subject: URI, spec, or an opened subject (then the executor must work in this process).
        prompts: A prompt set or a file that `load_prompts` reads.
        run: Folder or fsspec URL; created, or resumed if it was started with the same settings.
        n_samples: Samples a prompt and persona, >= 1.
        personas: System prompts under each of which every prompt is asked.
        decoding: How tokens are drawn; defaults to `Decoding()`.
        seed: The run's seed, from which every sample's seed derives.
        user: Subject that plays the user when `n_turns` > 1.
        n_turns: Answers in one interaction, >= 1.
        user_instruction: System prompt of the user's side.
        executor: `local`, `threads:N`, `processes:N`, `ray[:ADDRESS]`, or an executor.
        limit: Use only the first prompts.
        retries: Further attempts of a batch whose engine raised.
        cache: Reuse samples of earlier runs with the same key, and offer these to later ones.
        progress: Show a bar (terminal) or JSON lines (elsewhere) on standard error.
        on_point: Called at named points of storing; for crash tests.

    Returns:
        What the run now holds.

    Raises:
        ConfigError: A setting is not allowed.
        StorageError: The run has other settings, is damaged, locked, or out of room.
        BackendError: A batch failed on every attempt; what was acknowledged stays, and the call can be repeated.
    """
    started = time.monotonic()
    prompt_set = prompts if isinstance(prompts, PromptSet) else load_prompts(Path(prompts))
    chosen = prompt_set.prompts[:limit]
    _check(chosen, n_samples, n_turns, user is not None)
    decoding = decoding or Decoding()
    with ExitStack() as stack:
        pool = open_executor(executor)
        if isinstance(executor, str):
            stack.callback(pool.close)
        sides = open_sides(subject, user, n_turns=n_turns, instruction=user_instruction, decoding=decoding, pool=pool)
        stack.callback(sides.close)
        items = make_items(chosen, personas, n_samples, run_seed=seed, fingerprint=sides.fingerprint, user=sides.user)
        config = {
            **sides.config,
            "prompts": {"name": prompt_set.name, "sha256": prompt_set.sha256, "n": len(chosen)},
            "personas": [p.model_dump() for p in personas],
            "n_samples": n_samples,
            "seed": seed,
            "moorings": __version__,
        }
        store = stack.enter_context(Run.create_or_open(run, config))
        if on_point:
            store.on_point = on_point
        lines = [canonical_json(prompt.model_dump()) for prompt in chosen]
        store.put_artifact("prompts.jsonl", ("\n".join(lines) + "\n").encode())
        kept = SampleCache(cache_dir() / "samples.sqlite") if cache and sides.cacheable else None
        if kept is not None:
            stack.callback(kept.close)
        meter = stack.enter_context(open_meter(progress))
        counts = fill_run(store, list(items), sides, pool, retries=retries, cache=kept, meter=meter)
        cost_usd = _note_usage(store, sides.subject) if counts.n_drawn else None
        engine = sides.subject.describe().engine
        return summarise(
            store,
            sides.fingerprint,
            engine,
            n_drawn=counts.n_drawn,
            n_cached=counts.n_cached,
            n_bad=prompt_set.n_bad,
            started=started,
            cost_usd=cost_usd,
        )


def summarise(
    store: Run,
    fingerprint: str,
    engine: str,
    *,
    n_drawn: int,
    n_cached: int,
    n_bad: int,
    started: float,
    cost_usd: float | None = None,
) -> SampleResult:
    """Count what a run holds; `started` is the call's monotonic start."""
    rows = query(
        store,
        "SELECT status, count(*) AS n, coalesce(sum(n_output_tokens), 0)::BIGINT AS n_tokens FROM samples GROUP BY 1 ORDER BY 1",
    ).to_pylist()
    return SampleResult(
        run=store.files.url,
        subject=fingerprint,
        engine=engine,
        n_samples=sum(row["n"] for row in rows),
        n_drawn=n_drawn,
        n_cached=n_cached,
        n_bad=n_bad,
        statuses={row["status"]: row["n"] for row in rows},
        n_output_tokens=sum(row["n_tokens"] for row in rows),
        duration_s=time.monotonic() - started,
        cost_usd=cost_usd,
    )


def _note_usage(store: Run, subject: Subject) -> float | None:
    """Keep what a metered subject has cost, and which server builds answered."""
    if not isinstance(subject, Metered):
        return None
    usage = subject.usage()
    store.note("usage", {**usage._asdict(), "system_fingerprints": sorted(subject.system_fingerprints)})
    return usage.cost_usd


def _check(prompts: Sequence[Prompt], n_samples: int, n_turns: int, has_user: bool) -> None:
    if not prompts or n_samples < 1 or n_turns < 1:
        raise ConfigError(
            f"nothing to sample: {len(prompts)} prompts, n_samples {n_samples}, n_turns {n_turns}; each must be at least 1"
        )
    if has_user != (n_turns > 1):
        raise ConfigError(
            f"n_turns is {n_turns} and a user is {'' if has_user else 'not '}given; several turns need a subject that plays "
            "the user, and such a subject needs n_turns of at least 2"
        )
