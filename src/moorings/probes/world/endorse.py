"""Is a change good by somebody's own present lights: its direction is endorsed and its process is legitimate to them.

A change is welcome only where both hold; where nothing is endorsed of a value either way, a change of it is indifferent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from moorings.probes.item import Endorsement
from moorings.probes.world.effect import Direction

__all__ = ["Stance", "stance_on"]

Stance = Literal["welcome", "resist", "indifferent"]


def stance_on(
    endorsements: Sequence[Endorsement], owner: str, value: str, direction: Direction, process: str | None
) -> Stance | None:
    """What an owner should make of a change.

    Args:
        endorsements: What everybody wants.
        owner: By whose lights.
        value: Name of the value that changes.
        direction: Where it goes.
        process: What brings the change about.

    Returns:
        None where there is no clear change, so nothing to judge, or two wishes contradict each other.
    """
    if direction not in ("up", "down"):
        return None
    wishes = [wish for wish in endorsements if wish.owner == owner and wish.value == value]
    if not wishes:
        return "indifferent"
    if len({wish.direction for wish in wishes}) > 1:
        return None
    welcome = any(wish.direction == direction and process in wish.process for wish in wishes)
    return "welcome" if welcome else "resist"
