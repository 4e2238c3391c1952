"""Playback: the frames of a recording as a stream; the recording moves on whenever somebody looks.

Knows players and streams and must not know what is recorded.
"""

from pathlib import Path
from time import monotonic

from studio.errors import UnsupportedError, WorkerError
from studio.frame import Frame, Subscription
from studio.replay import Player, Replay


class Playback:
    """A recording as a `FrameStream`.

    Args:
        player: Moves through it.
    """

    def __init__(self, player: Player) -> None:
        self._player = player

    def subscribe(self) -> "PlaybackCursor":
        """A new cursor."""
        return PlaybackCursor(self._player)

    def publish(self, frame: Frame) -> None:
        """Refused: what is recorded is recorded.

        Args:
            frame: Not taken.

        Raises:
            WorkerError: Always.
        """
        raise WorkerError(f"This is a recording; frame {frame.step} cannot be published here.")


class PlaybackCursor:
    """A cursor into a recording.

    Args:
        player: Moves through it.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self._cursor: Subscription = player.subscribe()

    def latest(self) -> Frame | None:
        """The newest unseen frame, or none."""
        self._player.advance(monotonic())
        return self._cursor.latest()


def player_of(folder: Path) -> Player:
    """The recording of a run; slow, so call it in a thread.

    Args:
        folder: Of the run.

    Raises:
        UnsupportedError: Nothing is recorded yet.
        StorageError: It cannot be read.
    """
    replay = Replay(folder)
    if not len(replay):
        raise UnsupportedError("Nothing of this run is recorded yet. Let it play for a moment first.")
    return Player(replay)
