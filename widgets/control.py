"""Control: what drives the present run - play and its kin, the thermostat, the time step, slow motion, what is held - and its numbers.

Knows the store and the units that people read; must not know how anything is simulated.
"""

import html
from collections.abc import Callable
from typing import Any

import panel as pn

from studio.errors import SettingsError, StudioError
from studio.messages import State
from studio.recipes.dynamics import Dynamics
from studio.settings import validated
from widgets.bar import Bar, Tool
from widgets.desk import Desk, Part, css
from widgets.held import Held
from widgets.words import figures, table_of

HOTTEST = 600.0
"""End of the temperature slider, K; the field takes all that the settings allow."""
PACES: dict[str, float | None] = {"1 step/s": 1.0, **{f"{n} steps/s": float(n) for n in (3, 10, 30, 100, 300, 1000)}, "as fast as can be": None}
"""From slow motion to no limit."""
BUSY: dict[State, str] = {
    "preparing": "Wait until the run is ready.", "failed": "The run has stopped: play on from its checkpoint first.",
    "lost": "The worker is lost: recover it first.", "closed": "Open a system first.",
}  # fmt: skip


class RunControl(Part):
    """Drives the present run. In a notebook: `control.play()`, `control.temperature = 310`, `await control.set_timestep(1.0)`.

    Args:
        desk: Shared with other parts; one of its own when left out.

    Attributes:
        transport: A row to stand under the view.
        conditions: Thermostat, pace, time step and seed.
        restraining: What is held.
        readouts: The numbers of now.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self.bar, self.clock = Bar(self.guard, "Run", "outlined"), pn.pane.HTML("", margin=0, **_looks(), css_classes=["clock-place"])
        self.transport = pn.Row(self.bar.panel, self.clock, margin=0, **_looks(), css_classes=["transport"])
        self._quiet, self._fresh = False, True
        self._make_conditions()
        self.held = Held(self.desk)
        self.restraining = self.held.panel
        self.numbers = pn.pane.HTML("", margin=0, **_looks())
        self.readouts = pn.Column(self.numbers, margin=0, **_looks())
        parts = (self.transport, self.conditions, self.restraining, self.readouts)
        self.panel = pn.Column(*parts, margin=0, **_looks(), css_classes=["stack"])
        self._connect()
        self._follow()
        self.refresh()

    # -- from Python ---------------------------------------------------------------------------------------------------

    @property
    def temperature(self) -> float:
        """Of the thermostat, K.

        Raises:
            SettingsError: On setting: not a temperature that can be simulated; nothing changes.
        """
        return float(self.store.temperature)

    @temperature.setter
    def temperature(self, kelvin: float) -> None:
        self.store.set_temperature(kelvin)

    @property
    def friction(self) -> float:
        """Of the thermostat, 1/ps.

        Raises:
            SettingsError: On setting: not a friction that can be simulated; nothing changes.
        """
        return float(self.store.friction)

    @friction.setter
    def friction(self, per_picosecond: float) -> None:
        self.store.set_friction(per_picosecond)

    @property
    def pace(self) -> float | None:
        """Steps per second at most; none for as fast as can be.

        Raises:
            SettingsError: On setting: not above 0; nothing changes.
        """
        pace: float | None = self.store.pace
        return pace

    @pace.setter
    def pace(self, steps_per_second: float | None) -> None:
        self.store.set_pace(steps_per_second)

    @property
    def timestep(self) -> float | None:
        """Length of a step as it runs, fs; none before the first frame."""
        return self.store.frame.timestep if self.store.frame is not None else None

    async def set_timestep(self, femtoseconds: float) -> None:
        """Another time step: the atoms go on in a run of their own.

        Args:
            femtoseconds: Length of a step.

        Raises:
            SettingsError: Not a time step that can be simulated; nothing changes.
        """
        await self._revise({"timestep": femtoseconds})

    async def set_seed(self, seed: int) -> None:
        """Other random numbers, for velocities and thermostat: the atoms go on in a run of their own.

        Args:
            seed: Any whole number from 0.

        Raises:
            SettingsError: Not such a number; nothing changes.
        """
        await self._revise({"seed": seed})

    def play(self) -> None:
        """Go on; with a new worker where the old one is lost."""
        if self.store.status.state == "lost":
            self.store.recover()
        else:
            self.store.play()

    def pause(self) -> None:
        """Stop where it is."""
        self.store.pause()

    def toggle(self) -> None:
        """Pause if it plays, play otherwise."""
        if self.store.status.state == "playing" and self.store.player is None:
            self.pause()
        else:
            self.play()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what is now."""
        self.bar.show(self._tools())
        self.clock.object = self._clock()
        self.numbers.object = table_of(self.store.frame, self.store.clock)
        self.held.refresh()
        frame = self.store.frame
        if frame is not None and self._fresh:
            self._fresh = False
            self._fill({self.step_field: frame.timestep})

    def _tools(self) -> tuple[Tool, ...]:
        store, state = self.store, self.store.status.state
        off = "The next system is being prepared." if store.pending is not None else BUSY.get(state, "")
        playing = state == "playing" and store.player is None
        label, shape = ("Pause", "pause") if playing else ("Recover", "back") if state == "lost" else ("Play", "play")
        text = {"Pause": "Stop where it is.", "Recover": "Start a new worker from the last checkpoint."}.get(label, "Go on.")
        again = "" if state in ("failed", "lost") and store.pending is None else off
        return (
            Tool("play", label, text, self.toggle, shape, keys=(" ",), off=again, look="primary"),
            Tool("step", "Step", "One step, then pause.", store.step, "step", keys=(".",), off=off),
            Tool("undo", "Undo", "Back to the moment before the last action, or to the checkpoint before; again, further back.", store.undo, "back",
                 keys=("z",), off=off),
            Tool("reset", "Reset", "Back to the start; what was recorded is set aside, and Undo takes it back.", store.reset, "reset", off=off),
        )  # fmt: skip

    def _clock(self) -> str:
        frame, status = self.store.frame, self.store.status
        if frame is None:
            return ""
        words = "Recording" if self.store.player is not None else status.message if status.state in ("paused", "playing") and not status.doubts else ""
        told = f"<em>{html.escape(words)}</em>" if words else ""
        clock = "" if self.store.clock == "time" else f"{self.store.clock} "
        return f'<span class="clock">{told}<small>step {figures(frame.step)}</small> {clock}<b>{figures(frame.time, 3)}</b> ps</span>'

    def _make_conditions(self) -> None:
        field: Callable[..., pn.widgets.FloatInput] = pn.widgets.FloatInput
        looks = {**_looks(), "margin": 0}
        self.slider = pn.widgets.FloatSlider(label="Temperature, K", start=10.0, end=HOTTEST, step=5.0, value=300.0, **looks, css_classes=["bare-slider"])
        self.kelvin = field(label="Temperature, K", step=5.0, format="0.[0]", description="Of the thermostat; from 1 to 1500 K.", **looks)
        self.per_ps = field(label="Friction, 1/ps", step=0.5, format="0.[00]", description="Of the thermostat; 0 leaves the energy alone.", **looks)
        self.pace_slider = pn.widgets.DiscreteSlider(label="Pace", options=PACES, value=None, **looks, css_classes=["pace"])
        self.step_field = field(
            label="Time step, fs", step=0.5, format="0.[00]", description="Another one starts a run of its own from the atoms of now.", **looks
        )
        self.seed = pn.widgets.IntInput(label="Random seed", start=0, description="Other random numbers; starts a run of its own.", **looks)
        pair = {**looks, "css_classes": ["pair"]}
        self.conditions = pn.Column(
            pn.Row(self.kelvin, self.per_ps, **pair), self.slider, self.pace_slider, pn.Row(self.step_field, self.seed, **pair), **looks, css_classes=["stack"]
        )  # fmt: skip

    def _connect(self) -> None:
        start = self.guard.start
        wishes: dict[Any, Callable[[Any], None]] = {
            self.kelvin: self.store.set_temperature, self.slider: self.store.set_temperature, self.per_ps: self.store.set_friction,
            self.pace_slider: self.store.set_pace, self.step_field: lambda value: start(self.set_timestep(value)),
            self.seed: lambda value: start(self.set_seed(value)),
        }  # fmt: skip
        for widget, wish in wishes.items():
            widget.param.watch(self._heard(widget.label, wish), "value")
        for name in ("temperature", "friction", "pace", "recipe"):
            self.store.param.watch(self.guard.around(lambda _event: self._follow()), name)
        for name in ("status", "pending", "player"):
            self.store.param.watch(self.guard.around(lambda _event: self.refresh()), name)
        self.desk.each_tick(self.refresh)

    def _heard(self, label: str, wish: Callable[[Any], None]) -> Callable[[Any], None]:
        """What the user enters is a wish; a field whose wish is refused goes back to what is."""

        def heard(event: Any) -> None:
            if self._quiet:
                return
            with self.guard:
                try:
                    wish(event.new)
                except StudioError as problem:
                    self._follow()
                    raise SettingsError(f"{label}: {str(problem)[0].lower()}{str(problem)[1:]}") from problem

        return heard

    def _follow(self) -> None:
        """Fields say what is."""
        store, recipe = self.store, self.store.recipe
        kelvin = store.temperature
        self._fill({self.kelvin: kelvin, self.slider: min(max(kelvin, self.slider.start), HOTTEST), self.per_ps: store.friction})
        nearest = min(PACES.values(), key=lambda each: abs((each or 1e4) - (store.pace or 1e4)))
        self._fill({self.pace_slider: nearest})
        self._fresh = True
        if recipe is not None:
            self._fill({self.seed: recipe.seed, self.step_field: recipe.timestep or self.timestep or recipe.view.timestep})

    def _fill(self, values: dict[Any, Any]) -> None:
        """Set fields without taking that for a wish."""
        self._quiet = True
        try:
            for widget, value in values.items():
                if widget.value != value:
                    widget.value = value
        finally:
            self._quiet = False

    async def _revise(self, changes: dict[str, Any]) -> None:
        recipe = self.store.recipe
        if recipe is None:
            return
        try:
            await self.store.revise(validated(Dynamics, {**recipe.model_dump(), **changes}))
        except StudioError:
            self._follow()
            raise


def _looks() -> dict[str, Any]:
    return {"stylesheets": css("control"), "sizing_mode": "stretch_width"}
