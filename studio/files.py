"""Files: writing so that nothing is lost, and what to say when the system refuses, or something else is found.

Knows paths and bytes only.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from zipfile import BadZipFile

from platformdirs import user_cache_dir, user_data_dir

from studio.errors import StorageError, StudioError

CACHE_VARIABLE = "POTENTIAL_STUDIO_CACHE"
DATA_VARIABLE = "POTENTIAL_STUDIO_DATA"
DAMAGED = (ValueError, KeyError, TypeError, EOFError, RuntimeError, BadZipFile, zlib.error)
"""What comes of a file of arrays that is torn, or holds something else."""


def cache_folder() -> Path:
    """What can be made again lies here: `POTENTIAL_STUDIO_CACHE`, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or user_cache_dir("potential-studio"))


def data_folder() -> Path:
    """What users keep lies here: `POTENTIAL_STUDIO_DATA`, or the user's data folder."""
    return Path(os.environ.get(DATA_VARIABLE) or user_data_dir("potential-studio"))


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
        if isinstance(problem, FileNotFoundError) and not folder.exists():
            raise StorageError(f"Cannot write to {folder}: there is no such folder (any more). Make it, or choose another folder.") from problem
        raise StorageError(
            f"Cannot write to {folder}: {problem.strerror or problem}. Free some space or choose another folder; what was written before is kept."
        ) from problem


@contextmanager
def reading(path: Path, expected: str, otherwise: str) -> Iterator[None]:
    """Turn the system's complaints about a file, and those about what is in it, into a sentence.

    Args:
        path: The file.
        expected: What should be in it.
        otherwise: What to do where it is not: a sentence.

    Raises:
        StorageError: It is missing, cannot be read, is torn, or holds something else.
    """
    try:
        yield
    except StudioError:
        raise  # says better what is wrong
    except FileNotFoundError as problem:
        raise StorageError(f"Cannot read {path}: expected {expected}, but there is no such file. {otherwise}") from problem
    except OSError as problem:
        came = "it is a folder" if path.is_dir() else problem.strerror or problem
        raise StorageError(f"Cannot read {path}: expected {expected}, but {came}. {otherwise}") from problem
    except DAMAGED as problem:
        raise StorageError(f"Cannot read {path}: expected {expected}, but it is damaged, or something else: {problem}. {otherwise}") from problem


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file that others see whole or not at all, also if the power fails, by way of a temporary one beside it.

    Args:
        path: Where; an old file there is replaced.
        content: All of it.

    Raises:
        StorageError: No space or no permission; the old file stays.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.part")
    with storage(path.parent):
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
