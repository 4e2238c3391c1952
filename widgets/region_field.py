"""Region field: a region as people type it, read while it is typed, with its mistakes shown where they are.

Knows the language for regions, and must not know what they select.
"""

import html
from collections.abc import Callable

import panel as pn
from param.parameterized import Event

from studio.errors import RegionError
from studio.region import Region
from studio.region_text import HELP, MAX_LENGTH, RegionTextError, parse, to_text
from widgets.desk import css


class RegionField:
    """The text of a region.

    Args:
        on_region: Called with every region that is typed.
        on_wrong: Called when what is typed is none.
    """

    def __init__(self, on_region: Callable[[Region], None], on_wrong: Callable[[], None]) -> None:
        self._on_region, self._on_wrong, self._quiet = on_region, on_wrong, False
        self._region: Region | None = None
        self.input = pn.widgets.TextAreaInput(
            label="Region, in words", description=HELP, rows=2, auto_grow=True, max_rows=6, max_length=MAX_LENGTH, resizable=False,
            placeholder="ligand or sidechain A:93", stylesheets=css("builder", "picker"), margin=0, sizing_mode="stretch_width",
        )  # fmt: skip
        self.wrong = pn.pane.HTML("", visible=False, stylesheets=css("builder", "picker"), margin=0, sizing_mode="stretch_width")
        self.panel = pn.Column(self.input, self.wrong, css_classes=["stack"], stylesheets=css("builder"), margin=0, sizing_mode="stretch_width")
        self.input.param.watch(self._on_text, "value_input")

    @property
    def text(self) -> str:
        """As typed."""
        return str(self.input.value_input or "")

    @property
    def correct(self) -> bool:
        """The text is a region."""
        return not self.wrong.visible

    def show(self, region: Region) -> None:
        """Put a region into the field.

        Args:
            region: Any.
        """
        if region == self._region:
            return  # what is being typed keeps its spaces
        self._region = region
        try:
            text = to_text(region)
        except RegionError:  # one of a plug-in has no words
            text = ""
        self._quiet = True
        self.input.param.update(value=text, value_input=text)
        self._quiet = False
        self._tell("")

    def _on_text(self, event: Event) -> None:
        if self._quiet:
            return
        try:
            region = parse(event.new or "")
        except RegionTextError as problem:
            self._tell(placed(event.new or "", problem))
            self._on_wrong()
            return
        self._tell("")
        self._region = region
        self._on_region(region)

    def _tell(self, wrong: str) -> None:
        self.wrong.param.update(object=wrong, visible=bool(wrong))


def placed(text: str, problem: RegionTextError) -> str:
    """A text with its mistake marked, and what is wrong.

    Args:
        text: As typed.
        problem: What is wrong, and where.
    """
    before, wrong, after = text[: problem.start], text[problem.start : problem.end], text[problem.end :]
    mark = f"<mark>{html.escape(wrong) or '&nbsp;'}</mark>"
    return f'<div class="wrong" role="status"><code>{html.escape(before)}{mark}{html.escape(after)}</code><p>{html.escape(str(problem))}</p></div>'
