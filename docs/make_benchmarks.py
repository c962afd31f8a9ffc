"""Write docs/benchmarks.md and its plots from the stored results of the benchmarks.

Each `docs/benchmarks/NAME.json` becomes a section: what is measured (the benchmark's own words), the command, the figures against
their bars, the rows and the machine. Run after a benchmark was run with `--json docs/benchmarks/NAME.json`.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RESULTS = DOCS / "benchmarks"
INTRO = """# Benchmarks

Every figure below was made by the command beside it, on the machine named there; the stored results hold all details. Figures
are ratios against an alternative measured in the same run wherever there is one. `--quick` keeps the bar and takes at most a minute
on two cores. This page is written by `docs/make_benchmarks.py`.
"""


def main() -> None:
    """Write the page and the plots."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    (DOCS / "benchmarks.md").write_text(INTRO + "".join(section(result) for result in results))
    for result in results:
        plot(result)


def section(result: dict[str, Any]) -> str:
    """One benchmark's part of the page."""
    name = result["name"]
    versions = ", ".join(f"{package} {number}" for package, number in result["versions"].items())
    bars = [
        {
            "figure": figure,
            "measured": bar["value"],
            "bar": f"{bar['sign']} {number(bar['bar'])}",
            "": "holds" if bar["passed"] else "**missed**",
        }
        for figure, bar in result["bars"].items()
    ]
    parts = [
        f"\n## {name}\n",
        explanation(name),
        f"```\n.venv/bin/python benchmarks/{name}.py --json docs/benchmarks/{name}.json\n```\n",
        table(bars),
        f"![Figures of {name} against their bars](benchmarks/{name}.svg)\n",
        *tables(result),
        f"Measured on {result['cores']} cores of {result['cpu']}, Python {result['python']}; {versions}.\n",
    ]
    return "\n".join(part for part in parts if part)


def tables(result: dict[str, Any]) -> list[str]:
    """The rows of a result, and of each of its parts that has rows of its own; those of a list of parts stand in one table."""
    found = [table(rows)] if (rows := _rows_of(result)) else []
    for name, fact in result.items():
        if rows := [row for part in (fact if isinstance(fact, list) else [fact]) for row in _rows_of(part)]:
            found.append(f"### {name}\n\n{table(rows)}")
    return found


def _rows_of(part: Any) -> list[dict[str, Any]]:
    rows = part.get("rows") if isinstance(part, dict) else None
    return rows if isinstance(rows, list) and rows and isinstance(rows[0], dict) else []


def explanation(name: str) -> str:
    """The benchmark's own docstring."""
    source = (DOCS.parent / "benchmarks" / f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "") + "\n"


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown; columns that hold lists or tables are left to the stored result."""
    columns = [c for c in rows[0] if not any(isinstance(row.get(c), list | dict) for row in rows)]
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(number(row.get(column, "")) for column in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def number(value: Any) -> str:
    """Four digits."""
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "" if value is None else str(value).replace("|", "\\|").replace("_", " ")


def plot(result: dict[str, Any]) -> None:
    """Each figure as a share of its bar; the line at 1 is the bar."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "moorings"
    from matplotlib import pyplot

    bars = {figure: bar for figure, bar in result["bars"].items() if bar["bar"]}
    figure, axes = pyplot.subplots(figsize=(7, 0.6 + 0.45 * max(len(bars), 1)), layout="constrained")
    shares = [bar["value"] / bar["bar"] for bar in bars.values()]
    colours = ["#2f6f8f" if bar["passed"] else "#b5482f" for bar in bars.values()]
    axes.barh(range(len(bars)), shares, color=colours, height=0.5)
    axes.set_yticks(range(len(bars)), [f"{figure} ({bar['sign']})" for figure, bar in bars.items()])
    axes.axvline(1.0, color="black", linewidth=1, linestyle="--")
    axes.set_xlabel("measured as a multiple of the bar")
    axes.spines[["top", "right"]].set_visible(False)
    axes.invert_yaxis()
    figure.savefig(RESULTS / f"{result['name']}.svg", metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
