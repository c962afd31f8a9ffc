"""Chats to prompt text by the model's own template, which is untrusted code.

The template runs in Jinja's immutable sandbox inside a small worker process with limits on CPU time,
memory and output. Limits inside one process cannot stop a template that loops without output or
multiplies a string; the kernel can. The worker lives as long as its `ChatTemplate`, so a render costs a
pipe's round trip.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from moorings.errors import ModelFileError, UnsafeFileError
from moorings.records import Message

__all__ = ["PLAIN_TEMPLATE", "ChatTemplate", "Rendered", "render_chat", "template_sha256"]

PLAIN_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{{ '\\n\\n' if not loop.last }}{% endfor %}"
"""For models without a chat template: the contents alone, a blank line between them."""

_MEMORY_BYTES = 1 << 30
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""The worker inherits only what finding Python's packages may need, so that no credential is in its reach."""


class Rendered(NamedTuple):
    """One chat's prompt text, or why the template refused the chat."""

    text: str | None
    error: str | None


def template_sha256(template: str) -> str:
    """SHA-256 (64 hex digits) of a template's source."""
    return hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest()


def render_chat(template: str, messages: Sequence[Message], **variables: Any) -> str:
    """Render one chat; for many, keep a `ChatTemplate`.

    Raises:
        ModelFileError: The template refused the chat.
        UnsafeFileError: The template went over a limit.
    """
    with ChatTemplate(template) as chat_template:
        (rendered,) = chat_template.render([messages], **variables)
    if rendered.text is None:
        raise ModelFileError(
            f"the chat template refused the chat: {rendered.error}; change the messages or the template"
        )
    return rendered.text


class ChatTemplate:
    """A chat template with the worker process that renders it.

    Args:
        template: Jinja source, as in a model's `chat_template`.
        special_tokens: Names such as `bos_token` to their text, visible to the template.
        max_chars: Longest prompt text allowed.
        cpu_s: CPU seconds that one chat may take.
    """

    def __init__(
        self,
        template: str,
        special_tokens: Mapping[str, Any] | None = None,
        *,
        max_chars: int = 4_000_000,
        cpu_s: float = 5.0,
    ) -> None:
        self.template = template
        self._special_tokens = dict(special_tokens or {})
        self._max_chars = max_chars
        self._cpu_s = cpu_s
        self._worker: subprocess.Popen[str] | None = None
        self._worker_of = 0
        self._lock = threading.Lock()

    def __enter__(self) -> ChatTemplate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def render(self, chats: Sequence[Sequence[Message]], **variables: Any) -> list[Rendered]:
        """Render chats with the generation prompt added.

        Args:
            chats: The messages of each chat.
            variables: Further names for the template, such as `enable_thinking`; they override the defaults.

        Returns:
            One result a chat, in order.

        Raises:
            UnsafeFileError: The template used too much time, memory or output.
        """
        given = {"add_generation_prompt": True, "tools": None, "documents": None, **self._special_tokens, **variables}
        values = [{**given, "messages": [message.model_dump() for message in chat]} for chat in chats]
        request = {"template": self.template, "chats": values, "max_chars": self._max_chars, "cpu_s": self._cpu_s}
        with self._lock:
            answers = self._ask(json.dumps(request))
        for answer in answers:
            if "limit" in answer:
                raise self._unsafe(answer["limit"])
        return [Rendered(answer.get("text"), answer.get("error")) for answer in answers]

    def close(self) -> None:
        """End the worker; the next render starts another."""
        worker, self._worker = self._worker, None
        if worker is not None and self._worker_of == os.getpid():
            worker.kill()
            worker.communicate()

    def _ask(self, line: str) -> list[dict[str, Any]]:
        worker = self._started()
        assert worker.stdin is not None and worker.stdout is not None  # noqa: PT018 - for the type checker
        try:
            worker.stdin.write(line + "\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            found: list[dict[str, Any]] = json.loads(answer)
            return found
        code = worker.wait()
        self.close()
        if code == -signal.SIGXCPU:
            raise self._unsafe(f"more than {self._cpu_s:g} s of CPU time")
        raise self._unsafe(f"an end of its process with status {code}")

    def _started(self) -> subprocess.Popen[str]:
        # After a fork the pipes are shared with the parent, so a child starts a worker of its own.
        if self._worker is None or self._worker_of != os.getpid() or self._worker.poll() is not None:
            script = Path(__file__).with_name("template_worker.py")
            self._worker = subprocess.Popen(
                [sys.executable, "-P", str(script), str(_MEMORY_BYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            )
            self._worker_of = os.getpid()
        return self._worker

    def _unsafe(self, what: str) -> UnsafeFileError:
        return UnsafeFileError(
            f"the chat template {template_sha256(self.template)[:12]} was stopped: {what}; "
            "use another template (option template=FILE) or another model"
        )
