"""Draw README's picture from the demo's run: python docs/make_picture.py runs/demo."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from moorings import runs
from moorings.cli.terminal import print_table

SQL = (
    'select "group", count(*) n, round(avg(length(response))) as mean_chars, '
    "left(any_value(response order by index), 48) as an_answer from samples group by 1 order by 3 desc limit 5"
)


def main(run: str) -> None:
    """Write docs/picture.svg."""
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True)
    facts = runs.show(run)
    subject = facts["config"]["subject"]
    spent = sum(batch["duration_s"] for batch in facts["batches"])
    n_tokens = sum(row["n_output_tokens"] for row in facts["samples"])
    statuses = ", ".join(f"{row['n']} {row['status']}" for row in facts["samples"])
    console.print(
        "[bold green]$[/] moorings sample bundled:smollm2-135m --prompts examples/prompts.jsonl --run runs/demo"
    )
    console.print(f"{sum(row['n'] for row in facts['samples'])} samples ({statuses})", highlight=False)
    console.print(
        f"engine {subject['engine']} {subject['precision']}, {n_tokens:,} tokens in {spent:.0f} s", highlight=False
    )
    console.print("\n[bold green]$[/] moorings query runs/demo 'select \"group\", count(*) n, … group by 1'")
    table = runs.query(run, SQL)
    rows = [[str(cell).replace("\n", " ") for cell in row.values()] for row in table.to_pylist()]
    print_table("", table.column_names, rows, console=console)
    console.print("\n[bold green]$[/] moorings runs verify runs/demo")
    report = runs.verify(run)
    console.print(
        f"whole: {report.n_rows} samples, {report.n_entries} journal entries, history {report.head[:24]}…",
        highlight=False,
    )
    svg = console.export_svg(title="Moorings")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    (Path(__file__).parent / "picture.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
