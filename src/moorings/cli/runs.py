"""`moorings runs` and `moorings query`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moorings.cli.models import AsJson
from moorings.cli.terminal import print_json, print_table

__all__ = ["app", "query"]

app = typer.Typer(help="Stored runs: list, show, export, verify.", no_args_is_help=True)
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Folder or fsspec URL of a run.")]


@app.command("list")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds runs.")] = Path("runs"), as_json: AsJson = False
) -> None:
    """List the runs in a folder, oldest first."""
    from moorings import runs

    found = runs.list(folder)
    if as_json:
        print_json([info._asdict() for info in found])
    else:
        print_table("", ["run", "kind", "subject", "engine", "status", "samples", "created"], found)


@app.command("show")
def show(run: RunArgument, as_json: AsJson = False) -> None:
    """Show what a run holds: subject, settings, samples by status, speed."""
    from moorings import runs

    facts = runs.show(run)
    if as_json:
        print_json(facts)
        return
    subject = facts["config"]["subject"]
    print_table(
        "",
        ["fact", "value"],
        [
            ["run", facts["run"]],
            ["status", facts["status"]],
            *[
                [name, subject[name]]
                for name in ("name", "uri", "engine", "engine_version", "precision", "batch_size", "threads", "workers")
            ],
            ["history", facts["head"]],
        ],
    )
    columns = ["status", "n", "n_output_tokens", "mean_chars"]
    print_table("samples", columns, [[row[c] for c in columns] for row in facts["samples"]])
    columns = ["source", "n_batches", "rows", "duration_s", "n_output_tokens"]
    print_table("batches", columns, [[row[c] for c in columns] for row in facts["batches"]])


@app.command("export")
def export(
    run: RunArgument,
    path: Annotated[Path, typer.Argument(help="File to write; its ending gives the format: .jsonl, .csv or .parquet.")],
    format: Annotated[str | None, typer.Option(help="jsonl, csv or parquet, if the ending does not say.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write all samples of a run to one file, ordered by key."""
    from moorings import runs

    n_rows = runs.export(run, path, format=format)
    if as_json:
        print_json({"path": str(path), "n_samples": n_rows})
    else:
        print(f"{n_rows} samples written to {path}")


@app.command("verify")
def verify(
    run: RunArgument,
    repair: Annotated[
        bool, typer.Option(help="Set damaged bytes aside and rebuild what the journal still holds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every journal line, part, artifact and key. Exit code 1 if something is damaged or lost."""
    from moorings import runs

    report = runs.verify(run, repair=repair)
    if as_json:
        print_json(report._asdict())
    else:
        for line in (*report.problems, *report.notes):
            print(line)
        print(
            f"{'whole' if report.ok else 'NOT whole'}: {report.n_rows} samples, {report.n_entries} journal entries, history {report.head}"
        )
    if not report.ok:
        raise typer.Exit(1)


def query(
    run: RunArgument,
    sql: Annotated[
        str, typer.Argument(help='DuckDB SQL, for example "select status, count(*) from samples group by 1".')
    ],
    as_json: AsJson = False,
) -> None:
    """Run SQL over a run's views `samples`, `batches`, `prompts` and `events`."""
    from moorings import runs

    table = runs.query(run, sql)
    if as_json:
        print_json(table.to_pylist())
    else:
        print_table("", table.column_names, [list(row.values()) for row in table.to_pylist()])
