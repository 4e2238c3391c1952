"""History: the moments of a run that one can go back to - bounded in number and memory, in the order of time.

Knows bytes and when they were taken; must not know what they hold.
"""

from collections.abc import Callable
from typing import NamedTuple

MOST = 50
"""Moments kept: some minutes at the pace of checkpoints."""
MEGABYTES = 64.0
"""Memory that they may take; the newest stays in any case."""


class Moment(NamedTuple):
    """Where a run is: how often it was reset, and its step since then. Later ones are greater."""

    resets: int
    step: int


class History:
    """Checkpoints by moment, oldest first.

    Args:
        most: So many at most.
        megabytes: Together no more than this.
    """

    def __init__(self, most: int = MOST, megabytes: float = MEGABYTES) -> None:
        self._most, self._bytes = most, megabytes * 1e6
        self._kept: list[tuple[Moment, bytes]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def mark(self, moment: Moment, take: Callable[[], bytes]) -> None:
        """Keep a moment, unless it is kept already.

        Args:
            moment: Now.
            take: Takes the checkpoint.
        """
        self.forget_after(moment)
        if self._kept and self._kept[-1][0] == moment:
            return
        self._kept.append((moment, take()))
        while len(self._kept) > 1 and (len(self._kept) > self._most or sum(len(content) for _, content in self._kept) > self._bytes):
            del self._kept[0]

    def before(self, moment: Moment) -> tuple[Moment, bytes] | None:
        """The newest kept moment before `moment`, or none.

        Args:
            moment: Now.
        """
        return next((kept for kept in reversed(self._kept) if kept[0] < moment), None)

    def forget_after(self, moment: Moment) -> None:
        """Forget what is later than `moment`: it was gone back to."""
        self._kept = [kept for kept in self._kept if kept[0] <= moment]
