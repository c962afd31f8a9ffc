"""May two subjects be compared? Only if nothing but the models differs.

An engine, its precision, batch size or thread count can change answers as much as training does.
"""

from __future__ import annotations

from moorings.errors import ConfigError
from moorings.records import SubjectInfo

__all__ = ["require_same_engine"]

_MUST_AGREE = ("engine", "engine_version", "precision", "device", "batch_size", "threads", "workers", "template")


def require_same_engine(precursor: SubjectInfo, candidate: SubjectInfo, *, allow_mixed: bool = False) -> list[str]:
    """Name the facts of the engine in which two subjects differ.

    Args:
        precursor: The subject before the change.
        candidate: The subject after it.
        allow_mixed: Return the differences instead of refusing.

    Returns:
        The differences, one text each, with both values; empty if there is none.

    Raises:
        ConfigError: They differ and `allow_mixed` is not set.
    """
    pairs = ((name, getattr(precursor, name), getattr(candidate, name)) for name in _MUST_AGREE)
    differences = [f"{name}: {a} against {b}" for name, a, b in pairs if a != b]
    if differences and not allow_mixed:
        raise ConfigError(
            f"'{precursor.name}' and '{candidate.name}' were sampled differently ({'; '.join(differences)}), which alone can "
            "change answers; sample both alike, or set allow_mixed to compare them all the same"
        )
    return differences
