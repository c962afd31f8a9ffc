"""`moorings diff`, `moorings plan` and `moorings selftest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moorings.cli.models import AsJson
from moorings.cli.terminal import print_json, safe_text
from moorings.errors import ConfigError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from moorings.charter import Charter
    from moorings.compare.comparison import Comparison, PairResult
    from moorings.compare.selftest import SelfTest
    from moorings.records import Finding

__all__ = ["DIFF_EXAMPLES", "PLAN_EXAMPLES", "SELFTEST_EXAMPLES", "diff", "plan", "selftest"]

DIFF_EXAMPLES = """
**Two models on this machine**, sampled here on the same prompts, 200 or more of them:

    moorings diff hf:./base hf:./base+./adapter --prompts prompts.jsonl --charter charter.yaml --out diff

**Answers that somebody recorded**, two candidates in one report; a build fails if anything changed that was not asked for:

    moorings diff recorded:base.jsonl recorded:tuned.jsonl recorded:longer.jsonl --charter charter.yaml --fail-on side-effects

Exit code 0: nothing from `--fail-on` up. 1: something. 2: it could not be told, the reason is one line. 130: stopped.
"""
PLAN_EXAMPLES = """
How many prompts does it take to find a habit that goes from 2 % to 7 % of the answers?

    moorings plan --base-rate 0.02 --effect 0.05 --samples 4
"""
SELFTEST_EXAMPLES = """
Would a comparison of this model on these prompts raise false alarms?

    moorings selftest hf:./base --prompts prompts.jsonl
"""

Prompts = Annotated[
    Path | None, typer.Option("--prompts", "-p", help="Prompt file, needed for subjects that are not recorded yet.")
]
Samples = Annotated[int, typer.Option("--samples", "-n", min=1, help="Samples a prompt and subject.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="Most tokens of an answer.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")]
Seed = Annotated[int, typer.Option(help="Of sampling, of the split and of the tests.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Sample only the first prompts.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that measure responses.")]


def diff(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="PRECURSOR CANDIDATE...",
            help="Runs (`FOLDER` or `FOLDER@PERSONA`) or subjects (`bundled:…`, `hf:…`, `openai:…`, `recorded:FILE`). "
            "The first is the precursor; every further one is compared with it.",
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
    limit: Limit = None,
    q: Annotated[
        float | None, typer.Option(help="False discovery rate among findings; the charter's, or 0.1, by default.")
    ] = None,
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            help="A subject that proposes and checks statements and is asked what was meant; twice for two judges.",
        ),
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Compare subjects of different engines or decodings all the same.")
    ] = False,
    fail_on: Annotated[
        str,
        typer.Option(
            help="Exit with 1 if a verdict is this or worse: changed, side-effects, concerning; or never. "
            "A change that is wholly as the charter intends never fails."
        ),
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
    from moorings.compare.as_json import comparison_to_json
    from moorings.compare.diff import Sampling
    from moorings.compare.diff import diff as compare
    from moorings.compare.settings import Settings
    from moorings.records import Decoding
    from moorings.report.write import write_report

    fails = _failing_verdicts(fail_on)
    if q is not None and not 0 < q < 1:
        raise ConfigError(f"--q {q:g} is not a rate; give a number between 0 and 1, such as 0.1")
    if len(subjects) < 2:
        raise ConfigError("diff needs a precursor and at least one candidate; name two or more runs or subjects")
    comparison = compare(
        *subjects,
        out=out,
        charter=_read_charter(charter, q),
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
        judges=tuple(judges or ()),
        allow_mixed=allow_mixed,
        progress=True,
    )
    files = write_report(comparison, out)
    if as_json:
        print(comparison_to_json(comparison.model_copy(update={"map": ()})), end="")
    else:
        _tell(comparison)
        print(f"\nreport: {files['html']}")
    raise typer.Exit(int(any(pair.verdict in fails for pair in comparison.pairs)))


_SEVERITY = ("changed", "side effects", "concerning")
_FAIL_ON = {"changed": _SEVERITY, "side-effects": _SEVERITY[1:], "concerning": _SEVERITY[2:], "never": ()}


def _failing_verdicts(fail_on: str) -> tuple[str, ...]:
    if fail_on not in _FAIL_ON:
        raise ConfigError(f"--fail-on {fail_on}: {nearest(fail_on, _FAIL_ON)}")
    return _FAIL_ON[fail_on]


def _read_charter(path: Path | None, q: float | None) -> Charter | None:
    """The charter, its features known to exist before hours are spent on samples."""
    from moorings.charter import load_charter
    from moorings.compare.battery import known_features

    if path is None:
        return None
    read = load_charter(path)
    read.check_features(measured.feature.name for measured in known_features())
    return read if q is None else read.model_copy(update={"q": q})


def _tell(comparison: Comparison) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for warning in comparison.warnings:
        console.print(f"[yellow]note:[/yellow] {safe_text(warning)}")
    for pair in comparison.pairs:
        _tell_pair(console, pair)


def _tell_pair(console: Console, pair: PairResult) -> None:
    colour = _COLOURS.get(pair.verdict, "bold")
    console.print(
        f"\n[bold]{safe_text(pair.precursor)} → {safe_text(pair.candidate)}: [{colour}]{pair.verdict}[/{colour}][/bold]"
    )
    console.print(safe_text(pair.headline), soft_wrap=True)
    leading = [finding for finding in pair.findings if finding.part_of is None]
    for finding in leading[:_MOST_SHOWN]:
        _tell_finding(console, finding)
    more = f"{len(leading) - _MOST_SHOWN} more changes in the report; " if len(leading) > _MOST_SHOWN else ""
    console.print(
        f"[dim]{more}{len(pair.equivalent)} behaviours shown unchanged, {len(pair.undecided)} undecided[/dim]",
        soft_wrap=True,
    )


def _tell_finding(console: Console, finding: Finding) -> None:
    from moorings.report.wording import amount, change, interval_text

    effect, verdict = finding.effect, finding.intent.verdict
    colour = _COLOURS.get(verdict, "dim")
    console.print(f"  [{colour}]{verdict:<11}[/{colour}] {safe_text(finding.statement, limit=120)}", soft_wrap=True)
    said = (
        f"{amount(effect.precursor, effect.unit)} → {amount(effect.candidate, effect.unit)}, "
        f"{change(effect.estimate, effect.unit)} ({interval_text(effect.interval, effect.unit)})"
    )
    console.print(f"              [dim]{safe_text(said)}[/dim]", soft_wrap=True)


_MOST_SHOWN = 10
_COLOURS = {
    "concerning": "red",
    "side effect": "yellow",
    "side effects": "yellow",
    "intended": "green",
    "changed as intended": "green",
}


def plan(
    n_prompts: Annotated[int, typer.Option("--prompts", min=8, help="Prompts in all.")] = 400,
    n_samples: Samples = 2,
    base_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="The precursor's rate of the behaviour.")] = 0.2,
    spread: Annotated[float, typer.Option(min=0.0, help="Standard deviation of the effect between prompts.")] = 0.1,
    effect: Annotated[
        float | None, typer.Option(help="Change of the rate to be found: prints the prompts it needs.")
    ] = None,
    n_hypotheses: Annotated[int, typer.Option(min=1, help="Hypotheses that will be tested.")] = 150,
    n_findings: Annotated[int, typer.Option(min=1, help="True changes that you expect.")] = 5,
    q: Annotated[float, typer.Option(help="False discovery rate.")] = 0.1,
    power: Annotated[float, typer.Option(help="Chance of finding an effect of that size.")] = 0.8,
    confirm_share: Annotated[float, typer.Option(help="Share of prompts that hypotheses are tested on.")] = 0.4,
    as_json: AsJson = False,
) -> None:
    """Before a run: which change would be found with so many prompts, or how many prompts a change needs."""
    from moorings.compare.planning import plan_comparison
    from moorings.report.wording import percent

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
        f"{n_prompts} prompts, {n_samples} samples each, base rate {percent(base_rate)}, found with {power:.0%} power:"
    )
    print(f"  {100 * found.mde_registered:5.1f} points of change in a behaviour of the fixed battery")
    print(f"  {100 * found.mde_discovered:5.1f} points of change in a behaviour discovered in the responses")
    if found.prompts_needed is not None:
        print(
            f"a discovered change of {100 * float(effect or 0):.3g} points needs {found.prompts_needed} prompts, "
            f"{n_samples} samples each"
        )
    print(f"if a prompt costs as much as a sample, {found.best_n_samples} samples a prompt find most for the money")


def selftest(
    subject: Annotated[str, typer.Argument(help="A run with several samples a prompt, or a subject to sample.")],
    prompts: Prompts = None,
    n_samples: Samples = 8,
    max_new_tokens: MaxTokens = 64,
    temperature: Temperature = 1.0,
    n_runs: Annotated[int, typer.Option("--runs", min=10, help="Comparisons of the subject with itself.")] = 100,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run that is made.")] = Path("selftest"),
    limit: Limit = None,
    seed: Seed = 0,
    jobs: Jobs = 2,
    as_json: AsJson = False,
) -> None:
    """Compare a subject with itself many times and print how often something is found. Nothing should be.

    Exit code 1 if something was found more often than promised.
    """
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
        found = run(table, n_runs=n_runs, settings=settings, seed=seed, progress=lambda _: meter.advance(1, 0))
    if as_json:
        print_json({**found._asdict(), "interval": found.interval.model_dump()})
    else:
        _tell_selftest(source.name, found)
    raise typer.Exit(int(not found.holds))


def _tell_selftest(name: str, found: SelfTest) -> None:
    from moorings.report.wording import percent

    print(
        f"{found.n_with_findings} of {found.n_runs} comparisons of {safe_text(name)} with itself found something: "
        f"{percent(found.rate)}, 95 % interval {percent(found.interval.low)} to {percent(found.interval.high)}"
    )
    print(f"promised: at most {percent(found.q)}; {'holds' if found.holds else 'DOES NOT HOLD'}")
    if found.findings:
        print("false findings by origin: " + ", ".join(f"{n} {origin}" for origin, n in found.findings.items()))
