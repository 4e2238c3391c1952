"""Screens for Potential Studio: a Panel app and Jupyter widgets. Shows what `studio` computes and computes nothing."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widgets.builder import Builder
    from widgets.compare import Compare
    from widgets.control import RunControl
    from widgets.desk import Desk
    from widgets.dial import Dial
    from widgets.jupyter import show
    from widgets.live import LiveView
    from widgets.notebook import Studio, load
    from widgets.picker import RegionPicker
    from widgets.plots import Plots
    from widgets.recording import Recording
    from widgets.reporting import Reporting, show_report
    from widgets.runs import Runs
    from widgets.studies import Studies

__all__ = [
    "Builder",
    "Compare",
    "Desk",
    "Dial",
    "LiveView",
    "Plots",
    "Recording",
    "RegionPicker",
    "Reporting",
    "RunControl",
    "Runs",
    "Studies",
    "Studio",
    "load",
    "show",
    "show_report",
]

_HOMES = {
    "Builder": "builder", "Compare": "compare", "Desk": "desk", "Dial": "dial", "LiveView": "live", "Plots": "plots", "Recording": "recording",
    "RegionPicker": "picker", "Reporting": "reporting", "RunControl": "control", "Runs": "runs", "Studies": "studies", "Studio": "notebook",
    "load": "notebook", "show": "jupyter", "show_report": "reporting",
}  # fmt: skip
"""Where each lives."""


def __getattr__(name: str) -> object:
    """Import a name when it is first used, so that the app does not load Jupyter's widgets and `show` not Panel."""
    if name not in _HOMES:
        raise AttributeError(f"module 'widgets' has no attribute {name!r}; it has {', '.join(__all__)}")
    if name != "show":
        import_module("widgets.notebook").prepare()
    return getattr(import_module(f"widgets.{_HOMES[name]}"), name)
