"""Parts: finished pieces of a longer work, each a file that is written whole and known again by what it was made from.

Knows arrays and words; must not know what they mean.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from studio.files import DAMAGED, write_whole


class Part(NamedTuple):
    """Arrays by name, and words about them by name."""

    arrays: Mapping[str, NDArray[Any]]
    words: Mapping[str, Any]


def key_of(*made_from: str) -> str:
    """A hash of all that a part depends on.

    Args:
        made_from: As text.
    """
    return hashlib.sha256("\0".join(made_from).encode()).hexdigest()


def keep(path: Path | None, key: str, part: Part) -> None:
    """Write a part, whole or not at all; nothing where there is no file for it.

    Args:
        path: The file.
        key: From `key_of`.
        part: Its words are JSON data.

    Raises:
        StorageError: No space or no permission.
    """
    if path is None:
        return
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, told=np.array(json.dumps({"key": key, "words": dict(part.words)})), **dict(part.arrays))
    write_whole(path, content.getvalue())


def kept(path: Path | None, key: str) -> Part | None:
    """What was kept under this key, or none: missing, damaged, or made from something else.

    Args:
        path: The file.
        key: As given to `keep`.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes() if path else b""), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        told = json.loads(str(arrays.pop("told")))
        return Part(arrays, told["words"]) if told["key"] == key else None
    except (OSError, *DAMAGED):
        return None
