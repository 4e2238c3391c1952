"""Errors: every failure that a user can cause or meet, as a sentence that says what was expected, what came and what to do.

Each class is also the built-in that a Python programmer would catch. Nothing here knows what went wrong in detail; the
place that raises does.
"""


class StudioError(Exception):
    """Parent of every error that Potential Studio raises on purpose; its text is fit to be shown to a user."""


class StructureError(StudioError, ValueError):
    """The molecule cannot be read, built or repaired."""


class RegionError(StudioError, ValueError):
    """A selection is empty, cuts a bond or is out of range."""


class UnsupportedError(StudioError, ValueError):
    """A potential or force field cannot describe these atoms (element, charge, multiplicity, size)."""


class LeftBehindError(UnsupportedError):
    """What another level left behind has no place around what comes next."""


class SettingsError(StudioError, ValueError):
    """A setting or recipe is outside what is allowed."""


class PluginError(StudioError, LookupError):
    """No plug-in, example or recipe has this name."""


class MissingPackageError(StudioError, ImportError):
    """A package that this feature needs is not installed."""


class WeightsError(StudioError, OSError):
    """A file of model weights is missing, or is not the file that it should be."""


class StorageError(StudioError, OSError):
    """A file cannot be written or read: no space, no permission, damaged."""


class SimulationError(StudioError, ArithmeticError):
    """The simulation left the numbers that physics allows.

    Args:
        message: The sentence for the user.
        atoms: Indices of the atoms where it happened.
    """

    def __init__(self, message: str, atoms: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.atoms = atoms


class StoppedError(StudioError, InterruptedError):
    """The user ended something before it was done."""


class WorkerError(StudioError, RuntimeError):
    """The worker process ended, was killed or did not answer."""
