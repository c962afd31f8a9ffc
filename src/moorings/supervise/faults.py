"""What may go wrong in a component of a run without ending the run: the round fails, or is held, and says why.

Components come from other packages too, and read hostile text; one that breaks must cost a round, not a night. What a
person or the system interrupts, and a store that cannot be written, are no faults of a component and pass through.
"""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

from moorings.errors import MooringsError, StorageError
from moorings.store.disk import storage_error
from moorings.supervise.models import movable

__all__ = ["FAULTS", "fault_of"]

FAULTS = (
    MooringsError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    subprocess.SubprocessError,
    TypeError,
    ValueError,
)
"""What components raise, libraries' own errors included."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fault_of(error: BaseException, folder: Path) -> str:
    """What broke, in one line that is the same wherever the run lies.

    Raises:
        StorageError: It was no fault of a component: the store is damaged, or there is no room to write.
    """
    if isinstance(error, StorageError):
        raise error
    if isinstance(error, OSError) and error.errno in _FULL:
        raise storage_error(error, error.filename or folder, 0) from error
    said = " ".join(str(error).split())[:2000]
    return movable(f"{type(error).__name__}: {said}" if said else type(error).__name__, folder)
