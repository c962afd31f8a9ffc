"""What can go wrong in training itself."""

from __future__ import annotations

from moorings.errors import MooringsError

__all__ = ["TrainingError"]


class TrainingError(MooringsError):
    """Training cannot start, go on or be taken up."""
