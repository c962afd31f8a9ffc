"""Write the command reference from the program itself, so that it cannot drift: docs/reference/cli.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from moorings.cli.main import app


def _options(command: Any) -> list[str]:
    lines = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        if parameter.param_type_name == "option":
            name = ", ".join(f"`{o}`" for o in (*parameter.opts, *parameter.secondary_opts))
        else:
            name = f"`{(parameter.metavar or parameter.name or '').upper()}`"
        text = getattr(parameter, "help", None) or ""
        known = parameter.default
        if known not in (None, False, "") and not callable(known) and "Sentinel" not in repr(known):
            text += f" Default: `{known}`."
        lines.append(f"- {name}: {text}")
    return lines


def _walk(command: Any, path: str) -> list[str]:
    if hasattr(command, "commands"):
        lines = [f"## `{path}`", "", command.help or "", ""] if path != "moorings" else []
        for name in command.commands:
            lines += _walk(command.commands[name], f"{path} {name}")
        return lines
    level = "##" if path.count(" ") == 1 else "###"
    examples = [command.epilog.strip(), ""] if command.epilog else []
    return [f"{level} `{path}`", "", (command.help or "").strip(), "", *_options(command), "", *examples]


def main() -> None:
    """Write the page."""
    target = Path(__file__).parent / "reference" / "cli.md"
    target.parent.mkdir(exist_ok=True)
    body = ["# Commands", "", "Made from the program's own help by `docs/make_reference.py`.", ""]
    target.write_text("\n".join([*body, *_walk(typer.main.get_command(app), "moorings")]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
