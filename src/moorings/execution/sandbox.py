"""Runs Python that a model wrote, in a process of its own that can do nothing but compute.

The process starts isolated (`-I -S`, empty environment, an empty temporary folder that is deleted) and, where the
kernel allows it without asking, in a network namespace without a network. Before the code is read it gives up root,
lowers its limits on processor time, memory, files and processes for good, and installs an audit hook that refuses
every event but those of plain computing: imports of what is not already loaded, files (reading too), sockets,
processes, signals, native calls. Python's audit hooks are no boundary by themselves (PEP 578), so what they guard is
guarded by the limits, the lowered user and the namespace as well. The parent reads a bounded amount of output, kills
the process at a deadline, and judges the values itself: the code never sees what is expected of it.

This file is also the program of that process, so it imports nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

__all__ = ["Limits", "Outcome", "run_python"]

Status = Literal["ok", "error", "refused", "time", "memory", "output", "exited"]

_MODULES = (
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "random",
    "re",
    "statistics",
    "string",
    "typing",
)
"""What the code may import."""
_TAKEN_AWAY = ("os", "posix", "resource", "time")
"""Modules that this program needs and the code may not import; they stay reachable, but what they do is refused."""
_NOBODY = 65_534
_READY = b"ready\n"
"""First output of a process that is locked down; without it the machine failed and not the code."""
_MAX_VALUE = 2_000
"""Characters of a value's `repr` that come back."""
_STATUSES: tuple[Status, ...] = ("ok", "error", "refused", "memory")


class Limits(NamedTuple):
    """What one piece of code may use."""

    cpu_s: int = 2
    wall_s: float = 15.0
    """Far above `cpu_s`, so that a busy machine changes no outcome."""
    memory_bytes: int = 256 << 20
    output_bytes: int = 64 << 10


class Outcome(NamedTuple):
    """What became of the code."""

    status: Status
    """`ok`; `error` raised; `refused` tried what is not allowed; over `time`, `memory` or `output`; `exited` early."""
    values: tuple[str, ...] = ()
    """`repr` of each call's value; empty unless ok. Untrusted."""
    error: str = ""
    """What was raised or refused, in one line. Untrusted."""


def run_python(source: str, calls: Sequence[str], limits: Limits | None = None) -> Outcome:
    """Run code and then evaluate expressions beside it.

    Args:
        source: The code, hostile text.
        calls: Expressions over its names, such as `f(3)`; trusted.
        limits: What it may use.

    Raises:
        BackendError: The process could not be started here.
    """
    import tempfile

    limits = limits or Limits()
    request = json.dumps({"source": source, "calls": list(calls), "limits": limits[:3:2]}).encode()
    with tempfile.TemporaryDirectory(prefix="moorings-sandbox-", ignore_cleanup_errors=True) as folder:
        output, code, stopped = _communicate(_command(), request, folder, limits)
    if not output.startswith(_READY):
        from moorings.errors import BackendError

        raise BackendError(
            f"the sandbox process ended with exit code {code} before it ran anything; "
            "free memory and processes, or leave out what executes code"
        )
    return Outcome(stopped) if stopped is not None else _outcome(output.removeprefix(_READY), code, len(calls))


def _communicate(
    command: Sequence[str], request: bytes, folder: str, limits: Limits
) -> tuple[bytes, int, Literal["time", "output"] | None]:
    """Output, exit code, and which of the parent's limits was passed."""
    import selectors
    import signal
    import subprocess
    import tempfile
    import time

    def kill() -> None:
        # The whole session, so that nothing that the process may have started survives it.
        os.killpg(process.pid, signal.SIGKILL)

    stopped: Literal["time", "output"] | None = None
    output = bytearray()
    with (
        tempfile.TemporaryFile() as given,
        selectors.DefaultSelector() as selector,
    ):
        given.write(request)
        given.seek(0)
        process = subprocess.Popen(
            list(command),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        with process:
            assert process.stdout is not None
            selector.register(process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + limits.wall_s
            while stopped is None:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    stopped = "time"
                elif block := os.read(process.stdout.fileno(), 65_536):
                    output += block
                    stopped = "output" if len(output) > limits.output_bytes else None
                elif not _ends(process, deadline - time.monotonic()):
                    stopped = "time"
                else:
                    break
            if process.returncode is None:
                kill()
    return bytes(output), process.returncode, stopped


def _ends(process: Any, seconds: float) -> bool:
    """Whether a process that closed its output also ends."""
    import subprocess

    try:
        process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return False
    return True


def _outcome(output: bytes, code: int, n_calls: int) -> Outcome:
    import signal

    # The kernel kills a process that lives on after the first signal at its limit of processor time.
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return Outcome("time")
    exited = Outcome("exited", error=f"exit code {code}")
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        return exited
    if not isinstance(found, dict) or found.get("status") not in _STATUSES:
        return exited
    status, values, error = found["status"], found.get("values", []), found.get("error", "")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in [*values, error]):
        return exited
    return Outcome(status, tuple(values), error) if len(values) == (n_calls if status == "ok" else 0) else exited


def _command() -> tuple[str, ...]:
    return (*_without_network(), sys.executable, "-I", "-S", os.path.abspath(__file__))


@cache
def _without_network() -> tuple[str, ...]:
    """A command prefix that takes the network away, or nothing where that needs privileges that this process lacks."""
    import shutil
    import subprocess

    tool = shutil.which("unshare")
    # Root stays outside a user namespace: within one it could not become nobody.
    command = (tool or "", *(() if os.geteuid() == 0 else ("--user",)), "--net")
    works = tool is not None and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if works else ()


def _child() -> None:
    """The process's own part: lock down, run, write one JSON object."""
    request = json.load(sys.stdin)
    for name in _MODULES:
        __import__(name)
    refused = _lock_down(*request["limits"])
    for name in _TAKEN_AWAY:
        sys.modules.pop(name, None)
    os.write(1, _READY)
    sys.stdin, sys.stdout, sys.stderr = _Nowhere(), _Nowhere(), _Nowhere()
    module = type(sys)("__sandbox__")
    sys.modules[module.__name__] = module

    def report(kind: type[BaseException], error: BaseException, _: object) -> None:
        if issubclass(kind, SyntaxError):
            # The parser looks for a file of the code's name to quote from, which is no deed of the code.
            refused.clear()
        # The text of an exception class that the code wrote is not asked for: asking runs code.
        said = f": {error.args[0]}" if error.args and type(error.args[0]) is str else ""
        status: Status = "memory" if kind is MemoryError else "error"
        _answer({"status": status, "error": f"{kind.__name__}{said}"[:200]}, refused)

    sys.excepthook = report
    program = compile(request["source"], "<answer>", "exec")
    exec(program, vars(module))
    values: list[str] = []
    for call in request["calls"]:
        exec(compile(f"__value = ({call})", "<check>", "exec"), vars(module))
        values.append(repr(vars(module)["__value"])[:_MAX_VALUE])
    _answer({"status": "ok", "values": values}, refused)


def _answer(found: dict[str, Any], refused: Sequence[str]) -> None:
    if refused:
        found = {"status": "refused", "error": refused[0]}
    os.write(1, json.dumps(found).encode())
    # Nothing of the code's, such as atexit functions and finalisers, is run after it.
    os._exit(0)


class _Nowhere:
    """Takes the place of the standard streams."""

    def write(self, text: str) -> int:
        return len(text)

    def read(self, size: int = -1) -> str:
        return ""

    def readline(self, size: int = -1) -> str:
        return ""

    def flush(self) -> None:
        """Nothing is kept."""


def _lock_down(cpu_s: int, memory_bytes: int) -> list[str]:
    """Limits that cannot be raised again; returns the list that refused events are noted in."""
    import resource

    if os.geteuid() == 0:
        # Root is exempt from the limit of processes and may read everything; where it cannot be given up, nothing runs.
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for which in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(which, (0, 0))
    # No file beyond the three streams can be opened.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    refused: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        # A literal, because the code can reach this frame's globals through a traceback, but not its constants.
        if event not in {
            "builtins.id",
            "compile",
            "exec",
            "object.__delattr__",
            "object.__getattr__",
            "object.__setattr__",
            "sys._getframe",
            "sys.excepthook",
        }:
            refused.append(f"{event} is not allowed")
            raise PermissionError(f"{event} is not allowed")

    sys.addaudithook(hook)
    return refused


if __name__ == "__main__":
    _child()
