"""Moorings supervises AIs that improve AIs.

The names below are the public functions; each is also a command of the same name. Heavy libraries are imported
only when one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from moorings import models, runs
    from moorings.diagnosis import doctor
    from moorings.records import Decoding, Interaction, Message, Persona, Prompt
    from moorings.runs import query
    from moorings.sampling.prompts import load_personas, load_prompts
    from moorings.sampling.record import record
    from moorings.sampling.sample import SampleResult, sample
    from moorings.subjects.comparable import require_same_engine
    from moorings.subjects.embedders import open_embedder
    from moorings.subjects.spec import SubjectSpec, open_subject

_HOMES = {
    "Decoding": "moorings.records",
    "Interaction": "moorings.records",
    "Message": "moorings.records",
    "Persona": "moorings.records",
    "Prompt": "moorings.records",
    "SampleResult": "moorings.sampling.sample",
    "SubjectSpec": "moorings.subjects.spec",
    "doctor": "moorings.diagnosis",
    "load_personas": "moorings.sampling.prompts",
    "load_prompts": "moorings.sampling.prompts",
    "open_embedder": "moorings.subjects.embedders",
    "open_subject": "moorings.subjects.spec",
    "query": "moorings.runs",
    "record": "moorings.sampling.record",
    "require_same_engine": "moorings.subjects.comparable",
    "sample": "moorings.sampling.sample",
}

__all__ = [
    "Decoding",
    "Interaction",
    "Message",
    "Persona",
    "Prompt",
    "SampleResult",
    "SubjectSpec",
    "doctor",
    "load_personas",
    "load_prompts",
    "models",
    "open_embedder",
    "open_subject",
    "query",
    "record",
    "require_same_engine",
    "runs",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("models", "runs"):
        return importlib.import_module(f"moorings.{name}")
    raise AttributeError(f"module 'moorings' has no attribute '{name}'")
