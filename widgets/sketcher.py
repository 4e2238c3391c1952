"""Sketcher: draw a molecule on the page and get it as SMILES.

Knows where Ketcher lies in this environment and hands it to the page in pieces; must not know what becomes of the molecule.
Ketcher is large (26 MB of JavaScript), so nothing of it is read before somebody opens the sketcher.
"""

import asyncio
import gzip
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

import param
from panel.custom import JSComponent

from studio.errors import MissingPackageError, StudioError
from widgets.alerts import Guard

PIECE = 1 << 20
"""Bytes of one message."""
ASSETS = ("widget.js", "widget.css")
"""What the page may ask for."""
_MAP = b"//# sourceMappingURL"


@cache
def packed(name: str) -> bytes:
    """One of Ketcher's files, compressed, less what only a debugger reads; takes about a second, once.

    Args:
        name: One of `ASSETS`.

    Raises:
        MissingPackageError: The package with Ketcher is not installed.
    """
    spec = importlib.util.find_spec("ketcher_anywidget")
    path = Path(spec.origin).parent / "static" / name if spec and spec.origin else Path()
    if not path.is_file():
        raise MissingPackageError("The sketcher needs the package ketcher-anywidget. Install it with: pip install ketcher-anywidget==0.1.0.")
    code, *_ = path.read_bytes().rsplit(_MAP, 1)
    return gzip.compress(code, 4)


class SketcherPane(JSComponent):
    """The part of the sketcher that lives in the page; its parameters are what `sketcher.js` reads."""

    label = param.String(default="Draw it", doc="Words on the button.")
    help = param.String(default="Opens a drawing board; the molecule comes back as SMILES.", doc="One line of help.")
    smiles = param.String(default="", doc="What the drawing begins with.")

    _esm = Path(__file__).parent / "static" / "sketcher.js"


class Sketcher:
    """A button that opens a drawing board over the page; the molecule drawn is handed on as SMILES.

    Args:
        on_taken: Called with the SMILES.
        guard: Takes what goes wrong.
        css: Stylesheets.

    Attributes:
        loading_ms: How long the last opening took in the browser; none before.
        problem: Why it could not be opened; empty when all is well.
    """

    def __init__(self, on_taken: Callable[[str], None], guard: Guard, css: list[str]) -> None:
        self._on_taken, self._guard = on_taken, guard
        self.loading_ms: int | None = None
        self.problem = ""
        make: Callable[..., SketcherPane] = SketcherPane
        self.pane = make(stylesheets=css, margin=0, css_classes=["quiet"], sizing_mode="stretch_width")
        self.pane.on_msg(lambda event: self.hear(event.data))

    def open(self, smiles: str = "") -> None:
        """Open the board in the page.

        Args:
            smiles: What the drawing begins with.
        """
        self.pane._send_msg({"type": "open", "smiles": smiles})

    def hear(self, message: object) -> None:
        """Take a message of the page; see `sketcher.js`.

        Args:
            message: A wish for a piece of Ketcher, a molecule, or how it went.
        """
        match message:
            case {"type": "need", "name": str(name), "piece": int(piece)} if name in ASSETS and piece >= 0:
                self._guard.start(self._send(name, piece))
            case {"type": "taken", "smiles": str(smiles)}:
                with self._guard:
                    self._on_taken(smiles)
            case {"type": "ready", "ms": int(ms)}:
                self.loading_ms, self.problem = ms, ""
            case {"type": "failed", "reason": str(reason)}:
                self.problem = reason

    async def _send(self, name: str, piece: int) -> None:
        try:
            data = await asyncio.to_thread(packed, name)
        except StudioError as problem:
            self.pane._send_msg({"name": name, "reason": str(problem)})
            return
        total = -(-len(data) // PIECE)
        self.pane._send_msg({"name": name, "piece": piece, "total": total, "data": data[piece * PIECE : (piece + 1) * PIECE]})
