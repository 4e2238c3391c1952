"""Live: the 3D view with its tools at the edge - what the hand means, how it looks, what is picked, what is waited for.

Knows the stage, which keeps the view in step with the store; says what stands where, and draws nothing itself.
"""

import asyncio
import html
from collections.abc import Callable
from typing import Any, Literal

import panel as pn

from widgets.bar import Bar, Tool
from widgets.beside import NO_BEADS
from widgets.desk import Desk, Part, css, static
from widgets.picked import PickBar
from widgets.stage import stage_of
from widgets.waiting import Waiting
from widgets.words import figures

Mode = Literal["look", "pick", "pull"]
MODES: dict[Mode, tuple[str, str, tuple[str, ...]]] = {
    "look": ("Look", "Drag turns the molecule, the wheel comes closer, the right button moves it.", ("1", "l")),
    "pick": ("Pick", "A click picks an atom, with Shift its residue; two to four picked atoms are measured.", ("2", "p")),
    "pull": ("Pull", "Drag an atom: a spring pulls it. A run that waits plays meanwhile. Ctrl and drag does so in any mode.", ("3", "u")),
}
LOOKS = {"As fits": "auto", "Ball and stick": "ball+stick", "Sticks": "licorice", "Space filling": "spacefill"}
HYDROGENS = {"All": "all", "Polar ones": "polar", "None": "none"}
LABELS = {"None": "none", "Of the ligand": "ligand", "Of picked atoms": "picked"}
PICTURE_WIDTH = 1920
"""Of a saved picture, pixels."""


class LiveView(Part):
    """The 3D view and its tools. In a notebook: `view.mode = "pull"`, `view.store.picks = (4, 7)`, `view.hydrogens = "all"`.

    Args:
        desk: Shared with other parts; one of its own when left out.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self.viewer, self.stage = self.desk.viewer, stage_of(self.desk)
        self.pane = self.viewer.pane
        self.picked, self.waiting = PickBar(self.stage), Waiting(self.desk)
        self.tools = Bar(self.guard, "3D view")
        self.rate = pn.pane.HTML("", stylesheets=css("live"), margin=0, align="center")
        self.title = pn.pane.HTML("", stylesheets=css("live"), margin=0, align="center")
        self.back = Bar(self.guard, "Recording", "outlined", "small")
        self.recording = pn.Row(self.title, self.back.panel, css_classes=["recording"], stylesheets=css("live"), margin=0, visible=False)
        self.style = self._make_style()
        self.panel = self._arrange()
        self.pane.param.watch(self.guard.around(lambda _event: self.refresh()), "mode")
        for name in ("picks", "player", "observables", "pending", "reported"):
            self.store.param.watch(self.guard.around(lambda _event: self.refresh()), name)
        self.desk.each_tick(self.refresh)
        self.refresh()

    def __panel__(self) -> pn.viewable.Viewable:
        """The view by itself, as a notebook shows it; sentences stand over the picture."""
        self.desk.start()
        ground = "dark" if self.desk.dark else "light"
        return pn.Column(self.panel, css_classes=["alone", ground], stylesheets=[static("theme.css")], margin=0, sizing_mode="stretch_width", height=520)

    # -- state, for notebooks and tests --------------------------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        """What a click and a drag on an atom mean: `look`, `pick` or `pull`."""
        mode: Mode = self.pane.mode
        return mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self.pane.mode = mode

    @property
    def hydrogens(self) -> str:
        """Which hydrogens are drawn: `all`, `polar` or `none`."""
        return str(self.pane.hydrogens)

    @hydrogens.setter
    def hydrogens(self, which: str) -> None:
        self.pane.hydrogens = which

    async def picture(self, width: int = PICTURE_WIDTH) -> bytes:
        """The picture as the page shows it, as PNG.

        Args:
            width: Pixels across.

        Raises:
            WorkerError: No page shows the view.
        """
        return await self.viewer.snapshot(width)

    # -- what stands where ---------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what is now."""
        self.tools.show(self._tools())
        self.picked.refresh()
        self.waiting.refresh()
        self._show_recording()
        moving = self.store.status.state == "playing" or self.store.player is not None
        self.rate.object = f'<span class="rate">{figures(self.viewer.fps)} frames/s</span>' if moving else ""

    def _arrange(self) -> pn.Column:
        looks: dict[str, Any] = {"stylesheets": css("live"), "margin": 0}
        tools = pn.Row(self.tools.panel, self.rate, css_classes=["edge"], **looks)
        over = pn.Column(self.recording, self.desk.alert, self.waiting.panel, css_classes=["over"], **looks)
        return pn.Column(
            self.pane, tools, self.style, over, self.picked.panel, css_classes=["live"], sizing_mode="stretch_both", min_height=260, **looks
        )  # fmt: skip

    def _make_style(self) -> pn.Column:
        """Choices of how atoms are drawn, behind a button."""
        looks: dict[str, Any] = {"stylesheets": css("live"), "margin": 0, "sizing_mode": "stretch_width"}

        def select(label: str, options: dict[str, Any], name: str, help_line: str) -> pn.widgets.Select:
            widget = pn.widgets.Select(label=label, options=options, value=getattr(self.pane, name), description=help_line, **looks)
            widget.link(self.pane, bidirectional=True, value=name)
            return widget

        yes = {"Shown": True, "Hidden": False}
        return pn.Column(
            select("Ligand", LOOKS, "look", "How the ligand, or a molecule alone, is drawn."),
            select("Hydrogens", HYDROGENS, "hydrogens", "Polar ones are those on N, O and S; only the protein's others are left out."),
            select("Protein's fold", yes, "cartoon", "The ribbon along the chain."),
            select("Protein's surface", yes, "surface", "Where a solvent reaches; drawn anew when the motion rests."),
            select("Water", yes, "water", "Water and ions."),
            select("Atom numbers", LABELS, "labels", "Counted from 1, as everywhere on this screen."),
            css_classes=["style"], visible=False, stylesheets=css("live"), margin=0,
        )  # fmt: skip

    def _tools(self) -> tuple[Tool, ...]:
        empty = "" if self.store.structure is not None else "Nothing is shown yet."
        modes = (
            Tool(name, label, text, self._choose(name), name, keys=keys, pressed=self.pane.mode == name, look="segment")
            for name, (label, text, keys) in MODES.items()
        )
        return (
            *modes,
            *self._beside(),
            Tool("style", "Style", "How atoms are drawn: sticks, hydrogens, water, numbers.", self._toggle_style, "style", pressed=self.style.visible),
            Tool("centre", "Centre", "Bring the picked atoms, or what the molecule is about, to the middle. In the picture: C.", self._centre, "centre",
                 bare=True, off=empty),
            Tool("picture", "Save picture", f"Save the picture as PNG, {PICTURE_WIDTH} pixels wide.", self._save, "picture", bare=True, off=empty),
        )  # fmt: skip

    def _beside(self) -> tuple[Tool, ...]:
        """Beads may have their atoms beside them."""
        beside = self.stage.beside
        if beside.obstacle == NO_BEADS:
            return ()
        text = "Show the atoms beside the beads, built on them anew every second or so; the camera is the same."
        return (Tool("beside", "Atoms beside", text, beside.switch, pressed=beside.on, off=beside.obstacle),)

    def _choose(self, mode: Mode) -> Callable[[], None]:
        def choose() -> None:
            self.mode = mode

        return choose

    def _toggle_style(self) -> None:
        self.style.visible = not self.style.visible
        self.refresh()

    def _centre(self) -> None:
        self.viewer.centre(self.store.picks)

    def _save(self) -> None:
        """Ask the page for the picture, which answers later, and give it to the user."""
        picture = self.viewer.snapshot(PICTURE_WIDTH)
        picture.add_done_callback(self._saved)

    def _saved(self, picture: "asyncio.Future[bytes]") -> None:
        with self.guard:
            if not picture.cancelled():
                number = f"-run-{self.store.entry.id}" if self.store.entry is not None else ""
                self.tools.save(f"potential-studio{number}.png", "image/png", picture.result())

    def _show_recording(self) -> None:
        replayed = self.store.player is not None
        if self.recording.visible != replayed:
            self.recording.visible = replayed
        if replayed:
            which = f" of run {self.store.entry.id}" if self.store.entry is not None else ""
            self.title.object = f'<span class="which"><b>Recording{which}</b> {html.escape(self.store.title)}</span>'
            self.back.show((Tool("live", "Back to live", "Show the run again as it is now.", self.store.live),))
