"""Renders chat templates in a process of its own, for `moorings.subjects.chat_template`.

Run as a script: one JSON request a line on standard input, one JSON answer a line on standard output.
The template is sandboxed code from a stranger, so the process has hard limits: an endless loop, a
huge string or a huge number ends in this process's death, not the parent's.
"""

from __future__ import annotations

import json
import math
import resource
import sys
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

FIXED_DATE = datetime(2024, 7, 26)
"""What `strftime_now` tells templates: a prompt must be the same text on every day."""


class _Generation(jinja2.ext.Extension):
    """Accept `{% generation %}` blocks, which mark the assistant's tokens for training."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as a plain attribute

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """Return the block's body as if the tags were not there."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(pattern: str) -> str:
    return FIXED_DATE.strftime(pattern)


def environment() -> ImmutableSandboxedEnvironment:
    """The sandbox with what chat templates on the Hub use."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = _strftime_now
    return made


def _render(template: jinja2.Template, variables: dict[str, Any], max_chars: int) -> dict[str, Any]:
    pieces, size = [], 0
    try:
        for piece in template.generate(variables):
            size += len(piece)
            if size > max_chars:
                return {"limit": f"more than {max_chars} characters of output"}
            pieces.append(piece)
    except MemoryError:
        return {"limit": "more memory than allowed"}
    # Templates can raise anything that Python expressions can; all of it is the template's refusal.
    except Exception as error:  # noqa: BLE001
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"text": "".join(pieces)}


def _answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    _allow_cpu(request["cpu_s"])
    try:
        template = environment().from_string(request["template"])
    except (jinja2.TemplateError, MemoryError, RecursionError, SyntaxError, ValueError) as error:
        return [{"error": f"{type(error).__name__}: {error}"[:500]}] * len(request["chats"])
    answers = []
    for variables in request["chats"]:
        _allow_cpu(request["cpu_s"])
        answers.append(_render(template, variables, request["max_chars"]))
    return answers


def _allow_cpu(seconds: float) -> None:
    """Let this process use so many more CPU seconds; the kernel ends it with SIGXCPU when they are gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    """Answer requests until the input ends."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for line in sys.stdin:
        # A lone surrogate in a prompt is legal JSON and must come back as it went.
        print(json.dumps(_answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
