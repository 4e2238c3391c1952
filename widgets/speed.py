"""Speed: measuring how fast recipes would run - one at a time, in a thread, with a way to call it off - and saying it.

Knows recipes and measured speeds; how they are measured is the business of `studio.measure`.
"""

import asyncio
import html
import threading
from collections.abc import Callable
from time import monotonic

from studio.measure import PATIENCE, Speed, measure_speed
from studio.recipes.dynamics import Dynamics
from studio.run import prewarm
from studio.structure import Structure
from widgets.words import figures

STOPPED = "The measurement was stopped."
_turn = threading.Lock()
"""Two measurements at a time would slow each other down, whoever asked for them."""


class Stopwatch:
    """Measures for one part of the screen."""

    def __init__(self) -> None:
        self._since = 0.0
        self._stop: threading.Event | None = None

    @property
    def busy(self) -> bool:
        """A measurement is under way, or waits for its turn."""
        return self._stop is not None

    @property
    def seconds(self) -> float:
        """Wall time since it was asked for; 0 when none is under way."""
        return monotonic() - self._since if self.busy else 0.0

    async def measure(self, recipe: Dynamics, structure: Structure | None, again: bool = False) -> Speed:
        """How fast `recipe` would run here; the one asked for before is called off.

        Args:
            recipe: What would be run.
            structure: Its prepared structure, where there is one already.
            again: Measure even if the number is remembered.
        """
        self.cancel()
        stop = self._stop = threading.Event()
        self._since = monotonic()
        try:
            return await asyncio.to_thread(_measured, recipe, structure, stop.is_set, again)
        finally:
            if self._stop is stop:
                self._stop = None

    def cancel(self) -> None:
        """Call the measurement off."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None


def _measured(recipe: Dynamics, structure: Structure | None, cancelled: Callable[[], bool], again: bool) -> Speed:
    end = monotonic() + PATIENCE
    while not _turn.acquire(timeout=0.1):
        if cancelled() or monotonic() > end:
            return Speed(refusal=STOPPED)
    try:
        return Speed(refusal=STOPPED) if cancelled() else measure_speed(recipe, structure, cancelled=cancelled, again=again)
    finally:
        _turn.release()
        prewarm()


def told(speed: Speed | None, hint: str = "") -> str:
    """A speed, as a table and a sentence.

    Args:
        speed: Measured, or refused, or not known.
        hint: What is said where there is no number.
    """
    if speed is None or not speed.ok:
        return f'<p class="hint">{html.escape(speed.refusal if speed else hint)}</p>'
    rows = ((speed.ms_per_step, "ms/step"), (speed.steps_per_second, "steps/s"), (speed.ns_per_day, "ns/day"))
    cells = "".join(f"<span><b>{figures(value, digits(value))}</b> {unit}</span>" for value, unit in rows)
    note = f"{speed.note} {100 * speed.network_share:.0f} % of the time goes into the network." if speed.network_share else speed.note
    return f'<p class="speeds">{cells}</p><p class="hint">{html.escape(note)}</p>'


def digits(value: float) -> int:
    """Decimals worth showing: about two figures.

    Args:
        value: Not negative.
    """
    return 0 if value >= 20.0 else 1 if value >= 2.0 else 2


def waiting(seconds: float, what: str, beside: bool = False) -> str:
    """What stands there while something is measured.

    Args:
        seconds: Since it was asked for.
        what: Is measured.
        beside: A run plays meanwhile.
    """
    slowed = "; the run that plays slows it down" if beside else ""
    return f'<div class="wait" role="status"><p>Measuring {html.escape(what)}: {seconds:.0f} s{slowed}</p><progress aria-label="Measuring"></progress></div>'
