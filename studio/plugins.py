"""Plug-ins: potentials, recipes, levels and commands by entry point; listed without importing, imported one at a time.

A package adds a potential by an entry point in the group `studio.potentials` that names a frozen settings class; the
built-ins use the same door. One class may serve many names: its class method `named` then gives the settings for one of
them. This module knows names and must not know any one plug-in.
"""

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias

from studio.errors import MissingPackageError, PluginError

Group = Literal["studio.potentials", "studio.recipes", "studio.levels", "studio.commands"]
Plugin: TypeAlias = Any
"""A frozen settings class (potential, recipe), a level's class, or a click command: entry points carry no type."""


def names(group: Group) -> tuple[str, ...]:
    """Sorted names of the plug-ins of a group; nothing is imported."""
    return tuple(sorted(_points(group)))


def load(group: Group, name: str) -> Plugin:
    """What the plug-in `name` registered: settings class (or whatever, called without arguments, gives settings), or command; imports it.

    Raises:
        PluginError: No plug-in has this name, or its entry point leads nowhere.
        MissingPackageError: The plug-in, or something that it imports, is not installed.
    """
    points = _points(group)
    kind = group.split(".")[1].removesuffix("s")
    if name not in points:
        close = difflib.get_close_matches(name.lower(), points, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise PluginError(f"No {kind} is called '{name}'.{hint} Known: {', '.join(sorted(points)) or 'none'}.")
    try:
        plugin: Plugin = points[name].load()
    except ImportError as error:
        missing = error.name or "a module"
        raise MissingPackageError(
            f"The {kind} '{name}' needs {missing}, which cannot be imported ({error}). Install its package: pip install {missing.split('.')[0]}"
        ) from error
    except AttributeError as error:
        raise PluginError(
            f"The {kind} '{name}' is registered as {points[name].value}, which does not exist ({error}). Update or remove its package."
        ) from error
    return plugin.named(name) if hasattr(plugin, "named") else plugin


def _points(group: Group) -> dict[str, EntryPoint]:
    return _found(group, entry_points)


@cache  # each look reads the metadata of every installed package
def _found(group: Group, find: Callable[..., Iterable[EntryPoint]]) -> dict[str, EntryPoint]:
    """Entry points of a group by name; the first of two with the same name wins, as for imports."""
    points: dict[str, EntryPoint] = {}
    for point in find(group=group):
        points.setdefault(point.name, point)
    return points
