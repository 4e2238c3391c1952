"""Files: writing so that nothing is lost, and what to say when the system refuses.

Knows paths and bytes only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.errors import StorageError


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turn the system's complaints about files into a sentence.

    Raises:
        StorageError: Whatever the system could not write.
    """
    try:
        yield
    except StorageError:
        raise  # says better what is wrong
    except OSError as problem:
        raise StorageError(
            f"Cannot write to {folder}: {problem.strerror or problem}. Free some space or choose another folder; what was written before is kept."
        ) from problem


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, whole or not at all, also if the power fails."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
