"""Upload: a file of the visitor's comes in pieces and is kept under a safe name while the page is open.

Knows names, sizes and bytes; must not know what is in the file.
"""

import asyncio
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import param
from panel.custom import JSComponent

from studio.errors import StructureError
from studio.io import MAX_MEGABYTES

ENDINGS = ".sdf,.mol,.mol2,.pdb,.ent,.cif,.mmcif,.gz"


class UploadPane(JSComponent):
    """The part of the file field that lives in the page; its parameters are what `upload.js` reads."""

    label = param.String(default="Open a file", doc="What it is for.")
    hint = param.String(default=f"SDF, MOL2, PDB or mmCIF, also .gz; up to {MAX_MEGABYTES:g} MB", doc="What is welcome.")
    accept = param.String(default=ENDINGS, doc="Endings, separated by commas.")
    megabytes = param.Number(default=MAX_MEGABYTES, doc="Larger files do not travel.")

    _esm = Path(__file__).parent / "static" / "upload.js"


class Upload:
    """A file field: the file comes in pieces and is handed on whole.

    Args:
        on_file: Called with the name and the bytes.
        on_too_large: Called with the name and the size, MB, of a file that does not travel.
        css: Stylesheets.
    """

    def __init__(self, on_file: Callable[[str, bytes], None], on_too_large: Callable[[str, float], None], css: list[str]) -> None:
        self._on_file, self._on_too_large = on_file, on_too_large
        self._pieces: list[bytes] = []
        make: Callable[..., UploadPane] = UploadPane
        self.pane = make(stylesheets=css, margin=0, sizing_mode="stretch_width")
        self.pane.on_msg(lambda event: self.hear(event.data))

    def hear(self, message: object) -> None:
        """Take a message of the page; see `upload.js`.

        Args:
            message: A piece of a file, or the refusal of one.
        """
        match message:
            case {"name": str(name), "refused": int() | float() as megabytes}:
                self._on_too_large(name, float(megabytes))
            case {"name": str(name), "index": int(index), "total": int(total), "data": bytes() | bytearray() | memoryview() as piece}:
                self._pieces = [*self._pieces[:index], bytes(piece)]
                size = sum(map(len, self._pieces)) / 1e6
                if size > MAX_MEGABYTES:
                    self._pieces = []
                    self._on_too_large(name, size)
                elif index + 1 == total:
                    data, self._pieces = b"".join(self._pieces), []
                    self._on_file(name, data)


class Shelf:
    """Where uploaded files lie; they are gone when the shelf is.

    Args:
        allow: Is told the size of each file, MB, and may refuse.
    """

    def __init__(self, allow: Callable[[float], None] = lambda _megabytes: None) -> None:
        self._allow = allow
        self._folder = Path(tempfile.mkdtemp(prefix="potential-studio-"))
        self._files = 0
        self.clear = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        """Remove the files; done at the end of the program at the latest."""

    async def keep(self, name: str, data: bytes) -> Path:
        """Write a file down under a safe name of its own.

        Args:
            name: As the browser gave it.
            data: Its bytes.

        Raises:
            StructureError: Empty, or too large.
            StorageError: More than this visitor may upload.
        """
        if not data:
            raise StructureError(f"'{safe_name(name)}' is empty. Expected a molecule.")
        if len(data) > MAX_MEGABYTES * 1e6:
            raise StructureError(too_large(name, len(data) / 1e6))
        self._allow(len(data) / 1e6)
        self._files += 1
        path = self._folder / str(self._files) / safe_name(name)
        await asyncio.to_thread(_write, path, data)
        return path


def safe_name(name: str) -> str:
    """A file name that is only a name: no folder, no surprise, the endings kept.

    Args:
        name: As the browser gave it.
    """
    path = Path(name.replace("\\", "/"))
    inner = Path(path.stem).suffix if path.suffix.lower() == ".gz" else ""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem.removesuffix(inner)).strip("_")[:60] or "molecule"
    return stem + "".join(re.sub(r"[^A-Za-z0-9.]+", "", ending.lower())[:8] for ending in (inner, path.suffix))


def too_large(name: str, megabytes: float) -> str:
    """The sentence for a file beyond the limit.

    Args:
        name: As the browser gave it.
        megabytes: Its size.
    """
    return f"'{safe_name(name)}' has {megabytes:.0f} MB; expected at most {MAX_MEGABYTES:g} MB. Keep only the molecules that you need."


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
