"""So far: what a recipe at work can tell by now, kept in its folder for whoever looks; the report of it is the recipe's own.

One file, written whole, at most every two seconds and never for more than a twentieth of the time. It goes when the result is
there. Knows results and files; must not know recipes, nor who looks.
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from studio.errors import StorageError
from studio.files import storage
from studio.parts import Part, keep, kept, key_of
from studio.result import PROVENANCE, Result

FILE = "so_far.npz"
SECONDS = 2.0
"""Least wall time between two looks."""
SHARE = 0.05
"""Most of the time that looking may take."""

Make = Callable[[], Result]


class SoFar:
    """Keeps what can be told by now.

    Args:
        folder: Of the study; nothing is kept where there is none.
        recipe: The settings that it is about, as JSON text.
    """

    def __init__(self, folder: Path | None, recipe: str) -> None:
        self._path, self._key = folder / FILE if folder else None, key_of(recipe)
        self._next = 0.0

    def tell(self, make: Make) -> None:
        """Keep what `make` gives, unless something was kept a moment ago.

        Args:
            make: The result so far; not called where nothing is kept.
        """
        if monotonic() >= self._next:
            self.tell_now(make)

    def tell_now(self, make: Make) -> None:
        """Keep what `make` gives. A full disk does not stop the work: what has to be kept is kept elsewhere.

        Args:
            make: The result so far; one without an answer is not kept.
        """
        if self._path is None:
            return
        begun = monotonic()
        result = make()
        if not result.ok:
            return
        words = {"recipe": dict(result.recipe), "values": dict(result.values), "provenance": dict(result.provenance), "notes": list(result.notes)}
        with contextlib.suppress(StorageError):
            keep(self._path, self._key, Part(result.arrays, words))
        self._next = monotonic() + max(SECONDS, (monotonic() - begun) / SHARE)


def found(folder: Path, recipe: str) -> Result | None:
    """What a recipe has told so far; none where nothing was told, or something else was asked.

    Args:
        folder: Of the study.
        recipe: The settings, as JSON text.
    """
    part = kept(folder / FILE, key_of(recipe))
    if part is None:
        return None
    words: Mapping[str, Any] = part.words
    return Result(words["recipe"], words["values"], part.arrays, words["provenance"], tuple(words["notes"]))


def is_newer(folder: Path) -> bool:
    """Whether what was told so far is newer than the result, or there is no result.

    Args:
        folder: Of the study.
    """
    told, last = _written(folder / FILE), _written(folder / PROVENANCE)
    return told > last


def stamp(folder: Path) -> tuple[int, int]:
    """Changes when there is something new to see.

    Args:
        folder: Of the study.
    """
    return _written(folder / FILE), _written(folder / PROVENANCE)


def forget(folder: Path) -> None:
    """The result is there: nobody needs to know how it was on the way.

    Args:
        folder: Of the study.

    Raises:
        StorageError: It cannot be removed.
    """
    with storage(folder):
        (folder / FILE).unlink(missing_ok=True)


def _written(path: Path) -> int:
    """When a file was written, ns; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
