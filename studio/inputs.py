"""Inputs: the files that a recipe names - copied along with a run, and found again when the run has moved.

Knows recipes as JSON data: whatever says `"kind": "file"`, or `"records"`, has a `path`, in recipes of any kind and version;
`TABLES` are paths themselves.
"""

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from studio.errors import StorageError

FOLDER = "inputs"
KINDS = ("file", "records")
"""Of settings that name a file."""
TABLES = ("measured", "predictions", "added")
"""Settings that may be the path of a table."""


def taken_along(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe with its files copied into `folder`.

    Args:
        data: A recipe.
        folder: Of the run; exists.

    Raises:
        StorageError: A file cannot be read, or there is no space.
    """
    copies: dict[str, str] = {}

    def copy(path: str) -> str:
        if path not in copies:
            copies[path] = str(_copied(Path(path), folder / FOLDER))
        return copies[path]

    renamed: dict[str, Any] = _renamed(data, copy)
    return renamed


def localised(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe with its files where they lie in `folder`, as far as they do.

    Args:
        data: A recipe that was `taken_along`, perhaps at another place.
        folder: Of the run, now.
    """

    def look(path: str) -> str:
        here = folder / FOLDER / Path(path).name
        return str(here) if here.exists() else path

    renamed: dict[str, Any] = _renamed(data, look)
    return renamed


def with_relative_paths(data: dict[str, Any]) -> tuple[tuple[Path, ...], dict[str, Any]]:
    """The files that a recipe names, and the recipe with their paths counted from a folder that holds them in `FOLDER`.

    Args:
        data: A recipe whose files are where it says.
    """
    files: list[Path] = []

    def shorten(path: str) -> str:
        files.append(Path(path))
        return f"{FOLDER}/{Path(path).name}"

    renamed: dict[str, Any] = _renamed(data, shorten)
    return tuple(dict.fromkeys(files)), renamed


def _renamed(data: Any, rename: Callable[[str], str]) -> Any:
    """`data` with the path of each file given by `rename`."""
    if isinstance(data, list):
        return [_renamed(item, rename) for item in data]
    if not isinstance(data, dict):
        return data
    renamed = {name: _renamed(value, rename) for name, value in data.items()}
    if data.get("kind") in KINDS and isinstance(data.get("path"), str):
        renamed["path"] = rename(data["path"])
    tables = [name for name in TABLES if isinstance(data.get(name), str) and data[name] and not Path(data[name]).is_dir()]
    return renamed | {name: rename(data[name]) for name in tables}


def _copied(path: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    names = (path.name if n == 1 else f"{path.stem}-{n}{path.suffix}" for n in count(1))
    target = next(folder / name for name in names if not (folder / name).exists())
    try:
        content = path.open("rb")
    except OSError as problem:
        raise StorageError(f"'{path}' cannot be read: {problem.strerror}. Choose the file again.") from problem
    with content, target.open("wb") as copy:
        shutil.copyfileobj(content, copy)
    return target
