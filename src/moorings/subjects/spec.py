"""How a subject is named, and how a name becomes a subject."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pydantic import Field

from moorings.errors import ConfigError, nearest
from moorings.records import Record
from moorings.registry import Registry
from moorings.subjects.protocol import Subject

__all__ = ["SubjectSpec", "open_subject", "parse_uri", "subject_backends"]

Opener = Callable[["SubjectSpec"], Subject]

subject_backends: Registry[Opener] = Registry(
    "subject scheme",
    builtin={
        "bundled": "moorings.subjects.local",
        "hf": "moorings.subjects.local",
        "openai": "moorings.subjects.endpoint",
        "recorded": "moorings.subjects.recorded",
        "scripted": "moorings.subjects.scripted",
        "simulated": "moorings.subjects.simulated",
    },
)


class SubjectSpec(Record):
    """Everything needed to open a subject, in this process or another."""

    uri: str
    """`bundled:NAME[+ADAPTER]`, `hf:PATH[+ADAPTER]`, `openai:MODEL@URL`, `recorded:FILE`, `scripted:NAME`,
    or `simulated:NAME[+FOLDER]`."""
    engine: str = "auto"
    """For `bundled:` and `hf:`: auto, ctranslate2, transformers or vllm."""
    precision: str = "auto"
    """auto, fp32, bf16, fp16 or int8; auto takes the engine's fastest on this device."""
    device: str = "auto"
    batch_size: int | None = Field(default=None, ge=1)
    """Requests decoded together; None takes the engine's default."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads in all; None takes every core that this process may use."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of one backend, such as concurrency or price; unknown ones are refused by it."""

    def n_threads(self) -> int:
        """Threads to use: as given, else every core that this process may run on."""
        return self.threads or len(os.sched_getaffinity(0))


def parse_uri(uri: str) -> tuple[str, str]:
    """Split `scheme:rest`.

    >>> parse_uri("bundled:smollm2-135m")
    ('bundled', 'smollm2-135m')

    Raises:
        ConfigError: No scheme, or nothing after it.
    """
    scheme, colon, rest = uri.partition(":")
    if not colon or not rest:
        raise ConfigError(
            f"'{uri}' is not a subject URI; write SCHEME:NAME, for example bundled:smollm2-135m; {nearest(scheme, subject_backends.names())}"
        )
    return scheme, rest


def open_subject(subject: str | SubjectSpec | Subject, **settings: Any) -> Subject:
    """Open a subject from a URI (with settings of `SubjectSpec`), a spec, or pass one through.

    Raises:
        ConfigError: Unknown scheme, engine or setting.
        ModelFileError: The model's files are missing, damaged or unsafe.
    """
    if isinstance(subject, str):
        subject = SubjectSpec(uri=subject, **settings)
    if isinstance(subject, SubjectSpec):
        scheme, _ = parse_uri(subject.uri)
        return subject_backends.get(scheme)(subject)
    return subject
