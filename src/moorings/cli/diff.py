"""`moorings diff`, `moorings plan` and `moorings selftest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moorings.cli.models import AsJson
from moorings.cli.terminal import print_json, safe_text
from moorings.errors import ConfigError

if TYPE_CHECKING:
    from moorings.compare.comparison import Comparison

__all__ = ["diff", "plan", "selftest"]

Prompts = Annotated[
    Path | None, typer.Option("--prompts", "-p", help="Prompt file, needed for subjects that are not recorded yet.")
]
Samples = Annotated[int, typer.Option("--samples", "-n", min=1, help="Samples a prompt and subject.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="Most tokens of an answer.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")]
Seed = Annotated[int, typer.Option(help="Of sampling, of the split and of the tests.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that measure responses.")]


def diff(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="PRECURSOR CANDIDATE...",
            help="Runs (FOLDER or FOLDER@PERSONA) or subjects (`bundled:…`, `hf:…`, `openai:…`, `recorded:FILE`). "
            "Every further one is compared with the first.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the report and of the runs that are made.")
    ] = Path("diff"),
    charter: Annotated[
        Path | None, typer.Option("--charter", "-c", help="What the change was meant to do (YAML).")
    ] = None,
    prompts: Prompts = None,
    n_samples: Samples = 2,
    max_new_tokens: MaxTokens = 128,
    temperature: Temperature = 1.0,
    engine: Annotated[str, typer.Option(help="auto, ctranslate2, transformers or vllm; the same for all.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8; the same for all.")] = "auto",
    executor: Annotated[str, typer.Option(help="local, threads:N, processes:N or ray[:ADDRESS].")] = "local",
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first prompts.")] = None,
    q: Annotated[
        float | None, typer.Option(help="False discovery rate among findings; the charter's, or 0.1, by default.")
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Compare subjects of different engines or decodings all the same.")
    ] = False,
    fail_on: Annotated[
        str, typer.Option(help="Exit with 1 from this verdict on: concerning, side-effects, changed or never.")
    ] = "concerning",
    seed: Seed = 0,
    jobs: Jobs = 2,
    as_json: AsJson = False,
) -> None:
    """Find every way in which candidates behave differently from a precursor, and write a report.

    Prompts are divided into three parts: hypotheses are looked for on one, tested on another, and the third is kept.
    What is printed as a finding has passed a test on prompts that had no part in finding it. The same command again
    goes on after a stop. Writes report.html, report.md, comparison.json and junit.xml.
    """
    from moorings.charter import load_charter
    from moorings.compare.diff import Sampling
    from moorings.compare.diff import diff as compare
    from moorings.compare.settings import Settings
    from moorings.records import Decoding
    from moorings.report.write import write_report

    if fail_on not in _FAIL_ON:
        raise ConfigError(f"--fail-on {fail_on}: allowed are {', '.join(_FAIL_ON)}")
    if len(subjects) < 2:
        raise ConfigError("diff needs a precursor and at least one candidate; name two or more runs or subjects")
    read = load_charter(charter) if charter else None
    if read and q is not None:
        read = read.model_copy(update={"q": q})
    comparison = compare(
        *subjects,
        out=out,
        charter=read,
        sampling=Sampling(
            prompts=prompts,
            n_samples=n_samples,
            decoding=Decoding(max_new_tokens=max_new_tokens, temperature=temperature),
            seed=seed,
            executor=executor,
            limit=limit,
            spec={"engine": engine, "precision": precision},
        ),
        settings=Settings(seed=seed, jobs=jobs, **({"q": q} if q is not None else {})),
        allow_mixed=allow_mixed,
        progress=True,
    )
    files = write_report(comparison, out)
    if as_json:
        print_json(comparison.model_dump(mode="json", exclude={"map"}))
    else:
        _tell(comparison)
        print(f"\nreport: {files['html']}")
    raise typer.Exit(int(_fails(comparison, fail_on)))


_FAIL_ON = {
    "concerning": {"concerning"},
    "side-effects": {"concerning", "side effects"},
    "changed": {"concerning", "side effects", "changed", "changed as intended"},
    "never": set(),
}


def _fails(comparison: Comparison, fail_on: str) -> bool:
    return any(pair.verdict in _FAIL_ON[fail_on] for pair in comparison.pairs)


def _tell(comparison: Comparison) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for warning in comparison.warnings:
        console.print(f"[yellow]note:[/yellow] {safe_text(warning)}")
    for pair in comparison.pairs:
        console.print(f"\n[bold]{safe_text(pair.headline)}[/bold]")
        for finding in [f for f in pair.findings if f.part_of is None][:10]:
            effect = finding.effect
            console.print(
                f"  {safe_text(finding.statement, limit=90)}  [dim]{effect.precursor:.3g} → {effect.candidate:.3g} "
                f"{safe_text(effect.unit)}, {effect.estimate:+.3g} [{effect.interval.low:+.3g}, {effect.interval.high:+.3g}]"
                f"{'' if finding.intent.verdict == 'not judged' else ', ' + finding.intent.verdict}[/dim]".replace(
                    "[+", "\\[+"
                ).replace("[-", "\\[-")
            )
        least = [f.effect.mde for f in pair.undecided if f.effect.unit == "share of responses"]
        if least:
            console.print(f"  [dim]{len(pair.undecided)} undecided, {len(pair.equivalent)} shown unchanged[/dim]")


def plan(
    n_prompts: Annotated[int, typer.Option("--prompts", min=8, help="Prompts.")] = 400,
    n_samples: Samples = 2,
    base_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="The precursor's rate of the behaviour.")] = 0.2,
    spread: Annotated[float, typer.Option(min=0.0, help="Standard deviation of the effect between prompts.")] = 0.1,
    effect: Annotated[float | None, typer.Option(help="Print the prompts needed to find this effect.")] = None,
    n_hypotheses: Annotated[int, typer.Option(min=1, help="Hypotheses that will be tested.")] = 150,
    n_findings: Annotated[int, typer.Option(min=1, help="True changes that you expect.")] = 5,
    q: Annotated[float, typer.Option(help="False discovery rate.")] = 0.1,
    power: Annotated[float, typer.Option(help="Chance of finding an effect of that size.")] = 0.8,
    confirm_share: Annotated[float, typer.Option(help="Share of prompts that hypotheses are tested on.")] = 0.4,
    as_json: AsJson = False,
) -> None:
    """Before a run: which effect would be found with so many prompts, or how many prompts an effect needs."""
    from moorings.compare.planning import plan_comparison

    found = plan_comparison(
        n_prompts=n_prompts,
        n_samples=n_samples,
        base_rate=base_rate,
        spread=spread,
        effect=effect,
        n_hypotheses=n_hypotheses,
        n_findings=n_findings,
        q=q,
        power=power,
        confirm_share=confirm_share,
    )
    if as_json:
        print_json(found._asdict())
        return
    print(
        f"{n_prompts} prompts x {n_samples} samples: a discovered behaviour is found with {power:.0%} power from a change of "
        f"{found.mde_discovered:.3f} on (base rate {base_rate:g}); one of the fixed battery from {found.mde_registered:.3f} on."
    )
    print(f"best number of samples a prompt at equal cost of prompts and samples: {found.best_n_samples}")
    if found.prompts_needed is not None:
        print(f"a change of {effect:g} needs {found.prompts_needed} prompts in all ({n_samples} samples each)")


def selftest(
    subject: Annotated[str, typer.Argument(help="A run with several samples a prompt, or a subject to sample.")],
    prompts: Prompts = None,
    n_samples: Samples = 8,
    max_new_tokens: MaxTokens = 64,
    temperature: Temperature = 1.0,
    n_runs: Annotated[int, typer.Option("--runs", min=10, help="Comparisons of the subject with itself.")] = 100,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run that is made.")] = Path("selftest"),
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first prompts.")] = None,
    seed: Seed = 0,
    jobs: Jobs = 2,
    as_json: AsJson = False,
) -> None:
    """Compare a subject with itself many times and print how often something is found. Nothing should be."""
    from moorings.compare.diff import Sampling, measure, prepare_arm
    from moorings.compare.load import load_corpus
    from moorings.compare.selftest import selftest as run
    from moorings.compare.settings import Settings
    from moorings.records import Decoding
    from moorings.sampling.progress import open_meter
    from moorings.subjects.embedders import open_embedder

    sampling = Sampling(
        prompts=prompts,
        n_samples=n_samples,
        decoding=Decoding(max_new_tokens=max_new_tokens, temperature=temperature),
        seed=seed,
        limit=limit,
    )
    settings = Settings(seed=seed, jobs=jobs)
    source = prepare_arm(subject, out / "arm", sampling, progress=True)
    table = measure(load_corpus([source]), open_embedder(), settings, progress=True)
    with open_meter(True) as meter:
        meter.say(f"comparing {source.name} with itself {n_runs} times")
        meter.start(n_runs, 0)
        found = run(table, n_runs=n_runs, settings=settings, seed=seed, progress=lambda n: meter.advance(1, 0))
    if as_json:
        print_json({**found._asdict(), "interval": found.interval.model_dump()})
    else:
        print(
            f"{found.n_with_findings} of {found.n_runs} comparisons of {safe_text(source.name)} with itself found something: rate "
            f"{found.rate:.3f}, interval {found.interval.low:.3f} to {found.interval.high:.3f}; promised at most {found.q:g}: "
            f"{'holds' if found.holds else 'DOES NOT HOLD'}"
        )
    raise typer.Exit(int(not found.holds))
