"""Words without meaning, and draws that a chat and a seed fix, for subjects without weights."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from moorings.records import Message, canonical_json

__all__ = ["LOREM_WORDS", "chat_random"]

LOREM_WORDS = [
    "anchor",
    "bay",
    "chain",
    "current",
    "deep",
    "ebb",
    "fathom",
    "gale",
    "harbour",
    "island",
    "jetty",
    "keel",
    "lantern",
    "mast",
    "narrows",
    "oar",
    "pier",
    "quay",
    "reef",
    "sail",
    "tide",
    "undertow",
    "vessel",
    "wharf",
    "yard",
    "zephyr",
    "calm",
    "storm",
    "rope",
    "knot",
    "signal",
    "watch",
]


def chat_random(messages: Sequence[Message], seed: int, purpose: str | None = None) -> random.Random:
    """A generator fixed by the chat and the seed on every platform and Python; purposes draw independently."""
    said: list[object] = [seed, [[message.role, message.content] for message in messages]]
    text = canonical_json(said if purpose is None else [purpose, *said])
    return random.Random(int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]))
