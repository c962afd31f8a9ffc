"""Moorings supervises AIs that improve AIs.

The names below are the public functions; each command is a function of the same name. Heavy libraries are imported
only when one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from moorings import models, probe, runs
    from moorings.charter import Charter, load_charter
    from moorings.compare.comparison import Comparison
    from moorings.compare.diff import Sampling, compare_runs, diff, measure
    from moorings.compare.load import ArmSource, load_corpus, parse_arm
    from moorings.compare.planning import plan_comparison
    from moorings.compare.planning import plan_comparison as plan
    from moorings.compare.selftest import selftest
    from moorings.compare.settings import Settings
    from moorings.diagnosis import doctor
    from moorings.records import Decoding, Interaction, Message, Persona, Prompt
    from moorings.report.run.from_run import report_run
    from moorings.report.write import read_comparison, write_report
    from moorings.runs import query
    from moorings.sampling.amplified import amplified_generate
    from moorings.sampling.divergence import score_prompts
    from moorings.sampling.divergent_prompts import find_divergent_prompts, write_prompts
    from moorings.sampling.divergent_prompts import find_divergent_prompts as diverge
    from moorings.sampling.prompts import load_personas, load_prompts
    from moorings.sampling.record import record
    from moorings.sampling.sample import SampleResult, sample
    from moorings.subjects.comparable import require_same_engine
    from moorings.subjects.embedders import open_embedder
    from moorings.subjects.spec import SubjectSpec, open_subject
    from moorings.supervise.callback import MooringsCallback
    from moorings.supervise.catalogue import catalogue as methods
    from moorings.supervise.fork import fork
    from moorings.supervise.proof import verify_run
    from moorings.supervise.proof import verify_run as verify
    from moorings.supervise.state import RunState
    from moorings.supervise.supervisor import improve as improve_once
    from moorings.supervise.supervisor import resume
    from moorings.supervise.supervisor import supervise as run
    from moorings.supervise.watch import watch
    from moorings.supervise.wishes import approve, stop, take_back
    from moorings.supervise.wishes import take_back as rollback

_HOMES = {
    "ArmSource": "moorings.compare.load",
    "Charter": "moorings.charter",
    "Comparison": "moorings.compare.comparison",
    "Decoding": "moorings.records",
    "Interaction": "moorings.records",
    "Message": "moorings.records",
    "MooringsCallback": "moorings.supervise.callback",
    "Persona": "moorings.records",
    "Prompt": "moorings.records",
    "RunState": "moorings.supervise.state",
    "SampleResult": "moorings.sampling.sample",
    "Sampling": "moorings.compare.diff",
    "Settings": "moorings.compare.settings",
    "SubjectSpec": "moorings.subjects.spec",
    "amplified_generate": "moorings.sampling.amplified",
    "approve": "moorings.supervise.wishes",
    "compare_runs": "moorings.compare.diff",
    "diff": "moorings.compare.diff",
    "diverge": "moorings.sampling.divergent_prompts:find_divergent_prompts",
    "doctor": "moorings.diagnosis",
    "find_divergent_prompts": "moorings.sampling.divergent_prompts",
    "fork": "moorings.supervise.fork",
    "improve_once": "moorings.supervise.supervisor:improve",
    "load_charter": "moorings.charter",
    "load_corpus": "moorings.compare.load",
    "load_personas": "moorings.sampling.prompts",
    "load_prompts": "moorings.sampling.prompts",
    "measure": "moorings.compare.diff",
    "methods": "moorings.supervise.catalogue:catalogue",
    "open_embedder": "moorings.subjects.embedders",
    "open_subject": "moorings.subjects.spec",
    "parse_arm": "moorings.compare.load",
    "plan": "moorings.compare.planning:plan_comparison",
    "plan_comparison": "moorings.compare.planning",
    "query": "moorings.runs",
    "read_comparison": "moorings.report.write",
    "record": "moorings.sampling.record",
    "report_run": "moorings.report.run.from_run",
    "require_same_engine": "moorings.subjects.comparable",
    "resume": "moorings.supervise.supervisor",
    "rollback": "moorings.supervise.wishes:take_back",
    "run": "moorings.supervise.supervisor:supervise",
    "sample": "moorings.sampling.sample",
    "score_prompts": "moorings.sampling.divergence",
    "selftest": "moorings.compare.selftest",
    "stop": "moorings.supervise.wishes",
    "take_back": "moorings.supervise.wishes",
    "verify": "moorings.supervise.proof:verify_run",
    "verify_run": "moorings.supervise.proof",
    "watch": "moorings.supervise.watch",
    "write_prompts": "moorings.sampling.divergent_prompts",
    "write_report": "moorings.report.write",
}

__all__ = [
    "ArmSource",
    "Charter",
    "Comparison",
    "Decoding",
    "Interaction",
    "Message",
    "MooringsCallback",
    "Persona",
    "Prompt",
    "RunState",
    "SampleResult",
    "Sampling",
    "Settings",
    "SubjectSpec",
    "amplified_generate",
    "approve",
    "compare_runs",
    "diff",
    "diverge",
    "doctor",
    "find_divergent_prompts",
    "fork",
    "improve_once",
    "load_charter",
    "load_corpus",
    "load_personas",
    "load_prompts",
    "measure",
    "methods",
    "models",
    "open_embedder",
    "open_subject",
    "parse_arm",
    "plan",
    "plan_comparison",
    "probe",
    "query",
    "read_comparison",
    "record",
    "report_run",
    "require_same_engine",
    "resume",
    "rollback",
    "run",
    "runs",
    "sample",
    "score_prompts",
    "selftest",
    "stop",
    "take_back",
    "verify",
    "verify_run",
    "watch",
    "write_prompts",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, _, inside = _HOMES[name].partition(":")
        return getattr(importlib.import_module(module), inside or name)
    if name in ("models", "probe", "runs"):
        return importlib.import_module(f"moorings.{name}")
    raise AttributeError(f"module 'moorings' has no attribute '{name}'")
