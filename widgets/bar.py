"""Bar: a row of buttons with names, help and keys - as the part that owns it says they are now; it also saves files for the user.

A button that cannot be used stays readable and says why. The bar knows what its buttons say and must not know what they mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import param
from panel.custom import JSComponent

from widgets.alerts import Guard
from widgets.desk import css
from widgets.words import icon

Look = Literal["quiet", "primary", "segment"]


@dataclass(frozen=True)
class Tool:
    """A button.

    Args:
        name: By which it is pressed from Python.
        label: What it says, or is called where it shows a drawing only.
        help: What it does, in one line.
        act: Does it.
        shape: Its drawing, one of `widgets.words`.
        bare: The drawing only.
        keys: Which also press it, as a browser names them; the first is told to the user.
        off: Why it cannot be used now; empty when it can.
        pressed: Whether it is on, of one that stays.
        look: `segment` for one of several that belong together.
    """

    name: str
    label: str
    help: str
    act: Callable[[], None]
    shape: str = ""
    bare: bool = False
    keys: tuple[str, ...] = ()
    off: str = ""
    pressed: bool | None = None
    look: Look = "quiet"

    def described(self) -> dict[str, Any]:
        """As the page takes it."""
        return {
            "name": self.name, "label": self.label, "help": self.help, "icon": icon(self.shape) if self.shape else "", "bare": self.bare,
            "keys": list(self.keys), "off": self.off, "pressed": self.pressed, "look": self.look,
        }  # fmt: skip


class BarPane(JSComponent):
    """The part of the bar that lives in the page."""

    tools = param.List(default=[], item_type=dict, doc="The buttons; see `Tool.described`.")
    title = param.String(default="", doc="What they are about, for those who cannot see them.")

    _esm = Path(__file__).parent / "static" / "bar.js"


class Bar:
    """A row of buttons.

    Args:
        guard: Takes what goes wrong in them.
        title: What they are about, for those who cannot see them.
        css_classes: For the layout around it.
    """

    def __init__(self, guard: Guard, title: str, *css_classes: str) -> None:
        make: Callable[..., BarPane] = BarPane
        self.panel = make(title=title, css_classes=list(css_classes), stylesheets=css("bar"), margin=0)
        self.panel.on_msg(lambda event: self._hear(event.data))
        self._guard = guard
        self._tools: dict[str, Tool] = {}

    def __getitem__(self, name: str) -> Tool:
        """A button as it is now."""
        return self._tools[name]

    def show(self, tools: Sequence[Tool]) -> None:
        """Show these buttons; nothing travels when they say the same as before.

        Args:
            tools: All of them, from the left.
        """
        self._tools = {tool.name: tool for tool in tools}
        self.panel.tools = [tool.described() for tool in tools]

    def press(self, name: str) -> None:
        """Press a button; one that is off does nothing.

        Args:
            name: Of the button; one that is not shown any more does nothing.
        """
        tool = self._tools.get(name)
        if tool is not None and not tool.off:
            tool.act()

    def save(self, name: str, mime: str, data: bytes) -> None:
        """Put a file into the user's downloads.

        Args:
            name: Of the file.
            mime: Its media type.
            data: What is in it.
        """
        self.panel._send_msg({"file": data, "name": name, "mime": mime})

    def _hear(self, message: object) -> None:
        match message:
            case {"press": str(name)}:
                with self._guard:
                    self.press(name)
