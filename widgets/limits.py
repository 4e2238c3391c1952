"""Limits: what one visitor of a server may take; values only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What visitors may take.

    Args:
        users: Visitors at once.
        runs: Worker processes of one visitor: present, next and kept runs.
        gigabytes: Resident memory of one worker.
        upload_megabytes: All uploads of one page.
        library_megabytes: Recorded runs of one visitor; none for as much as the disk holds.
        audience: Viewers of one lecture.
        keep: Whether a run that plays goes on when its page is closed, unless its visitor chooses otherwise.
    """

    users: int = 8
    runs: int = 6
    gigabytes: float = 8.0
    upload_megabytes: float = 200.0
    library_megabytes: float | None = None
    audience: int = 60
    keep: bool = False
