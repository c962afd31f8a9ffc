"""`moorings models` and `moorings doctor`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from moorings.cli.terminal import print_json, print_table

__all__ = ["app", "doctor"]

app = typer.Typer(help="The bundled models: small real weights that come as Python packages.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the bundled models and what this machine has of them."""
    from moorings import models

    states = [_plain(state) for state in models.list()]
    if as_json:
        print_json(states)
    else:
        print_table(
            "",
            ["uri", "kind", "licence", "download MB", "state"],
            [[s["uri"], s["kind"], s["licence"], s["download_mb"], s["state"]] for s in states],
        )


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="`smollm2-135m`, `minilm` or `all`.")] = "all",
    as_json: AsJson = False,
) -> None:
    """Fetch bundled models and prepare them once for the engines; checksums are verified."""
    from moorings import models

    states = [_plain(state) for state in models.fetch(name, progress=lambda line: print(line, file=sys.stderr))]
    if as_json:
        print_json(states)
    else:
        for state in states:
            print(f"{state['uri']}: {state['state']} at {state['path']}")


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of a bundled model.")],
    verify: Annotated[
        bool, typer.Option(help="Check every file against its checksum; rebuild what is damaged.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one bundled model."""
    from moorings import models

    state = _plain(models.info(name, verify=verify))
    if as_json:
        print_json(state)
    else:
        print_table("", ["fact", "value"], list(state.items()))


def doctor(as_json: AsJson = False) -> None:
    """Show what works on this machine, and what to install for more. Exit code 1 if something needed is broken."""
    from moorings.diagnosis import doctor as look

    findings = look()
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        print_table("", ["what", "state", "detail", "what to do"], findings)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def _plain(state: Any) -> dict[str, Any]:
    model = state.model
    return {
        "uri": f"bundled:{model.name}",
        "kind": model.kind,
        "package": f"{model.package} {model.version}",
        "licence": model.licence,
        "download_mb": round(model.size_bytes / 1e6),
        "state": (state.problem or "ready") if state.fetched else "not fetched",
        "path": str(state.path),
        "disk_mb": round(state.disk_bytes / 1e6),
    }
