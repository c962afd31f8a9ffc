"""`moorings sample` and `moorings record`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moorings.cli.models import AsJson
from moorings.cli.terminal import print_json, safe_text
from moorings.errors import ConfigError

if TYPE_CHECKING:
    from moorings.sampling.sample import SampleResult

__all__ = ["record", "sample"]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting of the backend, such as concurrency=32; may be repeated."
    ),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run", "-o", help="Folder or fsspec URL of the run; by default a folder under runs/ named after the settings."
    ),
]


def sample(
    subject: Annotated[
        str,
        typer.Argument(
            help="`bundled:smollm2-135m`, `hf:FOLDER[+ADAPTER]`, `openai:MODEL@URL`, `recorded:FILE` or `scripted:NAME`."
        ),
    ],
    prompts: Annotated[
        Path,
        typer.Option(
            "--prompts",
            "-p",
            help="Prompt file (.txt, .jsonl, .json, .csv, .parquet, .gz of these) or a saved Hugging Face dataset.",
        ),
    ],
    run: RunOption = None,
    n_samples: Annotated[int, typer.Option("--samples", "-n", min=1, help="Samples a prompt and persona.")] = 1,
    personas: Annotated[
        Path | None, typer.Option(help="YAML or JSON file of system prompts; every prompt is asked under each.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="One system prompt for all.")] = None,
    max_new_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Most tokens of an answer.")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Nucleus mass, above 0 up to 1.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="Keep the k likeliest tokens; 0 keeps all.")] = 0,
    logprobs: Annotated[bool, typer.Option(help="Record token log-probabilities.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    engine: Annotated[str, typer.Option(help="auto, ctranslate2, transformers or vllm.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Requests decoded together.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; every core by default.")] = None,
    user: Annotated[str | None, typer.Option(help="URI of the subject that plays the user in several turns.")] = None,
    n_turns: Annotated[int, typer.Option("--turns", min=1, help="Answers in one interaction.")] = 1,
    executor: Annotated[str, typer.Option(help="local, threads:N, processes:N or ray[:ADDRESS].")] = "local",
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first prompts.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column that holds the prompt.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Column that holds the group.")] = None,
    skip_bad: Annotated[bool, typer.Option(help="Put malformed lines into a file beside the run and go on.")] = False,
    cache: Annotated[bool, typer.Option(help="Reuse samples of earlier runs.")] = True,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts of a batch that failed.")] = 3,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Sample a subject on a prompt set into a run; the same command again resumes it."""
    from moorings.records import Decoding, Persona
    from moorings.sampling.prompts import load_personas, load_prompts
    from moorings.sampling.sample import sample as draw
    from moorings.subjects.spec import SubjectSpec

    spec = SubjectSpec(
        uri=subject,
        engine=engine,
        precision=precision,
        device=device,
        batch_size=batch_size,
        threads=threads,
        options=_options(settings),
    )
    people = load_personas(personas) if personas else ()
    if system is not None:
        people = (*people, Persona(name="system", system=system))
    decoding = Decoding(
        max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, top_k=top_k, logprobs=logprobs
    )
    facts = [
        spec.model_dump(),
        str(prompts),
        [p.model_dump() for p in people],
        decoding.model_dump(),
        n_samples,
        seed,
        user,
        n_turns,
        limit,
    ]
    home = run or _default_run(subject, facts)
    prompt_set = load_prompts(
        prompts,
        prompt_column=prompt_column,
        group_column=group_column,
        limit=limit,
        skip_bad=skip_bad,
        quarantine=_beside(home),
    )
    result = draw(
        spec,
        prompt_set,
        home,
        n_samples=n_samples,
        personas=people,
        decoding=decoding,
        seed=seed,
        user=user,
        n_turns=n_turns,
        executor=executor,
        retries=retries,
        cache=cache,
        progress=True,
    )
    _tell(result, as_json)


def record(
    source: Annotated[
        Path,
        typer.Argument(
            help="Recorded responses: .jsonl, .json, .csv, .parquet, AlpacaEval outputs, Inspect .eval, lm-evaluation-harness samples."
        ),
    ],
    run: RunOption = None,
    format: Annotated[str, typer.Option(help="auto, jsonl, csv, parquet, alpaca, inspect or lm_eval.")] = "auto",
    prompt_column: Annotated[str | None, typer.Option(help="Column that holds the prompt.")] = None,
    response_column: Annotated[str | None, typer.Option(help="Column that holds the response.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Column that holds the group.")] = None,
    skip_bad: Annotated[bool, typer.Option(help="Put malformed lines into a file beside the run and go on.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first responses.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take recorded responses into a run, so that a model you cannot run can be compared all the same."""
    from moorings.sampling.record import record as take
    from moorings.subjects.spec import SubjectSpec

    named = {"prompt_column": prompt_column, "response_column": response_column, "group_column": group_column}
    options: dict[str, Any] = {"format": format, **{k: v for k, v in named.items() if v is not None}}
    home = run or _default_run(f"recorded:{source.name}", [str(source), options, limit])
    if skip_bad:
        options |= {"skip_bad": True, "quarantine": str(_beside(home))}
    result = take(SubjectSpec(uri=f"recorded:{source}", options=options), home, limit=limit, progress=True)
    _tell(result, as_json)


def _options(settings: list[str] | None) -> dict[str, Any]:
    """Parse NAME=VALUE; values that are JSON become numbers, booleans and so on."""
    found: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f"'{setting}' is not a setting; write --set NAME=VALUE")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _default_run(subject: str, facts: list[Any]) -> str:
    """A folder named after the settings, so that the same command finds its run again."""
    from moorings.records import content_hash

    words = "".join(c if c.isalnum() or c in "._-" else "-" for c in subject.partition(":")[2])
    return f"runs/{words.strip('-.')[-40:]}-{content_hash(facts)[:8]}"


def _beside(run: str) -> Path:
    name = run.rstrip("/").rsplit("/", 1)[-1] if "://" in run else run.rstrip("/")
    return Path(f"{name}.bad-lines")


def _tell(result: SampleResult, as_json: bool) -> None:
    if as_json:
        print_json(result._asdict())
        return
    statuses = ", ".join(f"{n} {name}" for name, n in result.statuses.items())
    print(
        f"{result.n_samples} samples ({safe_text(statuses)}); {result.n_drawn} new, {result.n_cached} from earlier runs"
    )
    print(
        f"engine {result.engine}, subject {result.subject[:16]}, {result.n_output_tokens:,} tokens, {result.duration_s:.1f} s"
    )
    print(f"run: {result.run}")
