"""Shared by all tests: one thread a process, and no model hub."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

from moorings.records import Message, Prompt  # noqa: E402
from moorings.sampling.prompts import PromptSet  # noqa: E402


@pytest.fixture
def prompt_set() -> Callable[[int], PromptSet]:
    """Make n prompts of varied length in three groups."""

    def make(n: int) -> PromptSet:
        prompts = tuple(
            Prompt(
                prompt_id=f"p{i}",
                messages=(Message(role="user", content=f"Question {i}: " + "why " * (i % 7)),),
                group=f"g{i % 3}",
            )
            for i in range(n)
        )
        return PromptSet(name="made", prompts=prompts, sha256="0" * 64)

    return make
