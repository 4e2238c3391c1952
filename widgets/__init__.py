"""Screens for Potential Studio: a Panel app and Jupyter widgets. Shows what `studio` computes and computes nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widgets.jupyter import show

__all__ = ["show"]


def __getattr__(name: str) -> object:
    """Import `show` when it is first used, so that the app does not load Jupyter's widgets and the notebook not Panel."""
    if name != "show":
        raise AttributeError(f"module 'widgets' has no attribute {name!r}; it has {', '.join(__all__)}")
    from widgets.jupyter import show

    return show
