"""`moorings probe`: build question sets, audit any, ask a model, and export sets for other harnesses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from moorings.cli.models import AsJson
from moorings.cli.terminal import print_json, safe_text

__all__ = ["app"]

EXAMPLES = """
**Can a model foresee what changes its values?** All five subtasks, options in balanced orders, with a report:

    moorings probe bundled:smollm2-135m --set reflectivity -n 200 --out runs/probe

**Make a set**, with its filters' counts; **audit** anybody's multiple-choice data:

    moorings probe build --subtask S4 -n 2000 --seed 7 --out S4.jsonl
    moorings probe audit power-seeking-inclination.jsonl

**Give a set to other harnesses**, as an Inspect AI task or an lm-evaluation-harness task:

    moorings probe export S4.jsonl --to inspect --out tasks/s4

`--set` takes `reflectivity`, `S1` to `S5`, a file that `build` wrote, or `NAME:PATH` for a published set such as `truthfulqa:FILE`.
"""


class _AskByDefault(TyperGroup):
    """A first word that is no command is the subject of `ask`."""

    default = "ask"

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            return super().resolve_command(ctx, [self.default, *args])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="probe",
    cls=_AskByDefault,
    help="Ask questions whose answers are known: build them, audit them, ask a model, export them.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
N = Annotated[int, typer.Option("--n", "-n", min=2, help="Items of each subtask; an even number.")]
Seed = Annotated[int, typer.Option(min=0, help="Equal seeds give equal items.")]
Form = Annotated[int, typer.Option(min=0, help="Another form has other names and values; take a new one each round.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder; the same command again resumes or reads it.")]
SetName = Annotated[str, typer.Option("--set", "-s", help="What is asked; see the examples below.")]
Orders = Annotated[str, typer.Option(help="all, balanced (each option equally often at each place) or stored.")]


@app.command("ask", epilog=EXAMPLES)
def ask(
    subject: Annotated[
        str, typer.Argument(help="`bundled:smollm2-135m`, `hf:FOLDER[+ADAPTER]`, `openai:MODEL@URL`, …")
    ],
    set_name: SetName = "reflectivity",
    n: N = 200,
    seed: Seed = 0,
    form: Form = 0,
    orders: Orders = "balanced",
    observed: Annotated[bool, typer.Option(help="Ask under 'you are observed' and 'you are not' as well.")] = False,
    self_other: Annotated[bool, typer.Option(help="Ask about itself and about another model as well.")] = False,
    mode: Annotated[str, typer.Option(help="auto, logprobs or text.")] = "auto",
    engine: Annotated[str, typer.Option(help="auto, ctranslate2, transformers or vllm.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(help="auto, fp32, bf16, fp16 or int8; int8 moves the odds of symbols, report figures of fp32."),
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; every core by default.")] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model, and print its profile; `moorings probe SUBJECT` is short for it."""
    from moorings import probe
    from moorings.probes.metrics.profile import render_profile
    from moorings.subjects.spec import SubjectSpec

    asked = probe.ask(
        SubjectSpec(uri=subject, engine=engine, precision=precision, threads=threads),
        set_name,
        out,
        n=n,
        seed=seed,
        form=form,
        orders=orders,  # type: ignore[arg-type]  # checked there, with the allowed names
        observed=observed,
        self_other=self_other,
        mode=mode,  # type: ignore[arg-type]
        progress=not as_json,
    )
    if as_json:
        print_json(json.loads(asked.profile.model_dump_json()))
        return
    print(safe_text(render_profile(asked.profile)).replace("\\[", "["))
    print(f"\nthe report is {asked.report['html']}")


@app.command("build")
def build(
    subtask: Annotated[str, typer.Option("--subtask", "-s", help="S1 to S5, or reflectivity for all.")],
    n: N = 200,
    seed: Seed = 0,
    form: Form = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File of items (.jsonl).")] = None,
    keep: Annotated[bool, typer.Option(help="Keep items that a filter flagged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make items whose keys are computed, run them through the filters, and write them with a data card."""
    from moorings import probe
    from moorings.probes.audit import render_audit

    built = probe.build(subtask, out, n=n, seed=seed, form=form, keep=keep)
    n_items = len(built.items.items)
    if as_json:
        print_json({"path": str(built.path), "card": str(built.card), "n_kept": n_items, **built.audit.as_json()})
        return
    print(render_audit(built.audit))
    print(f"\n{n_items} of {built.audit.n_items} items are in {built.path}, their data card in {built.card}")


@app.command("audit")
def audit(
    file: Annotated[Path, typer.Argument(help="Multiple-choice data: JSONL, JSON, CSV, Parquet, Inspect, lm-eval, …")],
    format: Annotated[str, typer.Option(help="Format of the file; auto looks at its rows.")] = "auto",
    disposition: Annotated[
        bool | None, typer.Option("--disposition/--ability", help="Whether options state a stance; else by the format.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option(help="Leave out rows that are no item, and count them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for leaks, duplicates, imbalance and artefacts of place and length; exit code 1 if a filter fails."""
    from moorings.probes.audit import audit as run_filters
    from moorings.probes.audit import render_audit

    kind = None if disposition is None else "disposition" if disposition else "ability"
    report = run_filters(file, format=format, kind=kind, skip_bad=skip_bad)  # type: ignore[arg-type]
    if as_json:
        print_json(report.as_json())
    else:
        print(render_audit(report))
    if not report.chain.passed:
        raise typer.Exit(1)


@app.command("export")
def export(
    set_name: Annotated[str, typer.Argument(metavar="SET", help="A file of items, or a set by name.")],
    to: Annotated[str, typer.Option("--to", help="inspect or lm-eval.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the task.")],
    n: N = 200,
    seed: Seed = 0,
    form: Form = 0,
    orders: Orders = "stored",
) -> None:
    """Write a set as a task of Inspect AI or of lm-evaluation-harness."""
    from moorings import probe

    path = probe.export(set_name, to, out, n=n, seed=seed, form=form, orders=orders)  # type: ignore[arg-type]
    said = f"inspect eval {path} --model …" if to == "inspect" else f"lm_eval --include_path {out} --tasks {path.stem}"
    print(f"wrote {path}; run it with: {said}")


@app.command("live")
def live(
    subject: Annotated[str, typer.Argument(help="A local model: `bundled:smollm2-135m` or `hf:FOLDER[+ADAPTER]`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; the same command again resumes it.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each set.")] = 3,
    examples: Annotated[int, typer.Option(min=8, help="Examples of each training set.")] = 48,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over them.")] = 2,
    learning_rate: Annotated[float, typer.Option(help="Of the adapters.")] = 5e-4,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; every core by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model what trainings would change in it, train it, measure, and score what it foretold."""
    from moorings import probe
    from moorings.subjects.spec import SubjectSpec

    track = probe.live(
        SubjectSpec(uri=subject, threads=threads),
        out,
        probe.LiveSettings(n_examples=examples, n_seeds=seeds),
        epochs=epochs,
        learning_rate=learning_rate,
        say=lambda text: typer.echo(text, err=True),
    )
    if as_json:
        print_json(track.as_json())
        return
    for name, by_trait in track.outcomes.items():
        told = ", ".join(f"{trait}: {outcome.truth} ({outcome.effect:+.3f})" for trait, outcome in by_trait.items())
        print(f"{name}: {told}")
    for name, score in track.scores.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in score.items()))
    print(f"\nthe report is {out / 'report.html'}")
