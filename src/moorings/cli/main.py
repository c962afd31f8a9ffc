"""The program `moorings`."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from moorings import __version__
from moorings.cli import diff, diverge, models, probe, run, runs, sample
from moorings.errors import MooringsError

__all__ = ["app", "main"]

app = typer.Typer(
    name="moorings",
    help="Record how models behave, find how a change changed them, and hold a run to its charter.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("sample")(sample.sample)
app.command("record")(sample.record)
app.command("diff", epilog=diff.DIFF_EXAMPLES)(diff.diff)
app.command("plan", epilog=diff.PLAN_EXAMPLES)(diff.plan)
app.command("selftest", epilog=diff.SELFTEST_EXAMPLES)(diff.selftest)
app.command("diverge", epilog=diverge.EXAMPLES)(diverge.diverge)
app.command("run", epilog=run.RUN_EXAMPLES)(run.run)
app.command("resume")(run.resume)
app.command("watch")(run.watch)
app.command("improve")(run.improve)
app.command("approve")(run.approve)
app.command("rollback")(run.rollback)
app.command("stop")(run.stop)
app.command("fork")(run.fork)
app.command("verify")(run.verify)
app.command("methods")(run.methods)
app.add_typer(probe.app, name="probe")
app.add_typer(models.app, name="models")
app.add_typer(runs.app, name="runs")
app.command("query")(runs.query)
app.command("doctor")(models.doctor)


class _Stopped(BaseException):
    """A person or the system asked the program to stop; typer would print its own word for KeyboardInterrupt."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"moorings {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the program; a known error becomes one line on standard error and exit code 2."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app()
    except MooringsError as error:
        print(f"moorings: {error}", file=sys.stderr)
        sys.exit(2)
    except _Stopped:
        print("moorings: stopped; what was stored is kept, run the same command to go on", file=sys.stderr)
        sys.exit(130)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped
