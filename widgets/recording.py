"""Recording: the scrubber under the picture - look back at the present run, frame by frame or as a film, and go on from there.

Moves the store's player, whose frames come to view and plots as live ones do. Knows players and words; reading frames is the
business of `studio.replay`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import param
from panel.custom import JSComponent

from studio.errors import SettingsError, UnsupportedError
from studio.recorder import time_of
from studio.replay import STEERED, Player, Replay
from widgets.desk import Desk, Part, css

FRAMES_PER_SECOND = 15.0
"""Of a film at speed 1."""
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
NOT_SHOWN = "The recording is not shown. Call `await recording.look_back()` first."
_ENERGY = "_kJ_mol"


class RecordingPane(JSComponent):
    """The part of the scrubber that lives in the page; its parameters are what `recording.js` reads."""

    ready = param.Boolean(default=False, doc="There is a run.")
    shown = param.Boolean(default=False, doc="Its recording is shown.")
    frames = param.Integer(default=0, doc="How many there are.")
    frame = param.Integer(default=0, doc="The one that is shown, counted from 0.")
    time = param.Number(default=0.0, doc="Of that frame, ps.")
    end = param.Number(default=0.0, doc="Of the last frame, ps.")
    clock = param.String(default="time", doc="What its time is called.")
    playing = param.Boolean(default=False, doc="It moves.")
    speed = param.Number(default=1.0, doc="How fast; 1 is 15 frames per second.")
    speeds = param.List(default=list(SPEEDS), item_type=float, doc="Speeds on offer.")
    loop = param.Boolean(default=False, doc="Begin again at the end.")
    warning = param.String(default="", doc="What is wrong with the recording.")

    _esm = Path(__file__).parent / "static" / "recording.js"


class Recording(Part):
    """The scrubber of the present run's recording.

    Args:
        desk: Shared with other parts; one of its own when left out.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self._resume = False
        make: Callable[..., RecordingPane] = RecordingPane
        self.panel: RecordingPane = make(stylesheets=css("recording"), margin=0, sizing_mode="stretch_width")
        self.panel.on_msg(lambda event: self.hear(event.data))
        for name in ("player", "run"):
            self.store.param.watch(self.guard.around(lambda _event: self._turn()), name)
        self.desk.plots.on_time(lambda time: None if self.store.compared else self.guard.start(self._look_at(time)))
        self.desk.each_tick(self.refresh)

    # -- for Python ----------------------------------------------------------------------------------------------------

    async def look_back(self) -> None:
        """Show the recording; the run waits meanwhile.

        Raises:
            StudioError: Nothing was recorded yet, or it cannot be read.
        """
        if self.store.player is None:
            self._resume = self.store.status.state == "playing"
            await self.store.replay()

    def live(self) -> None:
        """Show the run itself again; it goes on if it played before."""
        if self._resume and self.store.player is not None:
            self.store.play()
        self.store.live()

    @property
    def frame(self) -> int:
        """The frame that is shown, counted from 0; set it to show another.

        Raises:
            UnsupportedError: The recording is not shown.
            SettingsError: Set to a frame that there is not.
        """
        return self._player.position

    @frame.setter
    def frame(self, index: int) -> None:
        frames = len(self._player.replay)
        if not 0 <= index < frames:
            raise SettingsError(f"The recording has frames 0 to {frames - 1}, got {index}.")
        self._seek(index)

    @property
    def time(self) -> float:
        """Time of the frame that is shown, ps; set it to show the nearest frame.

        Raises:
            UnsupportedError: The recording is not shown.
        """
        return float(self._player.replay.times[self._player.position])

    @time.setter
    def time(self, moment: float) -> None:
        self._seek(int(np.abs(self._player.replay.times - moment).argmin()))

    @property
    def speed(self) -> float:
        """How fast the film is; 1 is 15 recorded frames per second.

        Raises:
            SettingsError: Set to something that is not one of `SPEEDS`.
        """
        return float(self.panel.speed)

    @speed.setter
    def speed(self, value: float) -> None:
        if value not in SPEEDS:
            raise SettingsError(f"Expected a speed of {', '.join(f'{speed:g}' for speed in SPEEDS)}, got {value:g}.")
        self.panel.speed = float(value)
        self._drive()

    @property
    def loop(self) -> bool:
        """Whether the film begins again at the end."""
        return bool(self.panel.loop)

    @loop.setter
    def loop(self, on: bool) -> None:
        self.panel.loop = on
        self._drive()

    def play(self) -> None:
        """Let the film run from here; raises `UnsupportedError` while the recording is not shown."""
        self._player.play()
        self.refresh()

    def pause(self) -> None:
        """Stop at this frame; raises `UnsupportedError` while the recording is not shown."""
        self._player.pause()
        self.refresh()

    async def branch(self) -> None:
        """A new run of the same inputs that starts with the atoms of this frame; velocities are drawn anew, and this run stays.

        Raises:
            UnsupportedError: The recording is not shown.
            StudioError: The new run cannot be made.
        """
        player, recipe = self._player, self.store.recipe
        player.pause()
        self.store.take(player.replay.frame(player.position))
        if recipe is not None:
            await self.store.revise(recipe)

    # -- listening -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show where the film is."""
        player = self.store.player
        if player is not None and len(player.replay):
            times = player.replay.times
            now = {"frames": len(times), "frame": player.position, "time": float(times[player.position]), "end": float(times[-1]), "playing": player.playing}
            self.panel.param.update(**{name: value for name, value in now.items() if getattr(self.panel, name) != value})

    def hear(self, message: object) -> None:
        """Take a message of the page; see `recording.js`.

        Args:
            message: What the user did.
        """
        with self.guard:
            match message:
                case {"type": "show"}:
                    self.guard.start(self.look_back())
                case {"type": "live"}:
                    self.live()
                case {"type": "branch"}:
                    self.guard.start(self.branch())
                case {"type": "speed", "value": float() | int() as value}:
                    self.speed = float(value)
                case {"type": "loop", "on": bool(on)}:
                    self.loop = on
                case _ if self.store.player is not None:  # what comes after the recording was left is late and ignored
                    self._hear_film(message)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _hear_film(self, message: object) -> None:
        match message:
            case {"type": "play", "on": bool(on)}:
                if on:
                    self.play()
                else:
                    self.pause()
            case {"type": "seek", "frame": int(index)}:
                try:
                    self._seek(index)
                finally:
                    self.panel._send_msg({"type": "sought"})

    @property
    def _player(self) -> Player:
        if self.store.player is None:
            raise UnsupportedError(NOT_SHOWN)
        return self.store.player

    def _seek(self, index: int) -> None:
        self._player.seek(index)
        self.refresh()

    def _drive(self) -> None:
        if self.store.player is not None:
            self.store.player.speed, self.store.player.loop = FRAMES_PER_SECOND * self.speed, self.loop

    def _turn(self) -> None:
        """The recording is shown, or the live run again."""
        player = self.store.player
        self.panel.param.update(
            ready=self.store.run is not None,
            clock=self.store.clock,
            shown=player is not None,
            warning=" ".join(player.replay.warnings) if player is not None else "",
        )
        if player is None:
            self.panel.playing = False
            return
        self._drive()
        self._plot(player.replay)
        player.seek(len(player.replay) - 1)
        self.refresh()

    def _plot(self, replay: Replay) -> None:
        """The lines of the whole recording, where the plots only know what came since the run was opened again."""
        samples, table = self.desk.plots.runs[""].samples if "" in self.desk.plots.runs else None, replay.table
        times = time_of(table)
        if samples is None or times is None or not len(times):
            return
        if len(samples) and samples.time[0] <= times[0]:
            return
        energies = {name.removesuffix(_ENERGY): column for name, column in table.items() if name.endswith(_ENERGY) and name not in STEERED}
        self.desk.plots.load(times, table["temperature_K"], energies)

    async def _look_at(self, time: float) -> None:
        """A moment that was chosen in a plot, in the picture."""
        if not self.store.compared and self.store.run is not None:
            await self.look_back()
            self.time = time
