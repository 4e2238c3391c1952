"""Script: a recipe as plain Python that repeats a run without the app - short, to be read and changed by people.

Knows recipes as settings, and the files in which a run tells what happened to it; must not know any one recipe. Whatever
people wrote (titles, notes, file names) enters as a comment of one line or as a quoted string, never as code.
"""

import inspect
import json
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from studio.errors import StorageError
from studio.recipes.base import Recipe, Runnable
from studio.recorder import ACTIONS, CG_TIME, ENERGIES, TIME
from studio.replay import Table
from studio.result import PROVENANCE, versions

WIDTH = 110
REPEATED = "repeated"
"""Folder, beside the script, into which it writes."""
_MAX_ACTIONS = 200
_HARMLESS = {"play", "pause", "step"}
"""Actions that do not change the course of a run."""

_SCRIPT = """\
{story}

{imports}

HERE = Path(__file__).parent

recipe = {recipe}

if __name__ == "__main__":  # needed where recipes start processes of their own
    folder = HERE / "{repeated}"
{body}
"""
_MOVING = """\
    result = recipe.run(folder=folder, on_frame=lambda frame: print(f"{frame.time:10.3f} PS  {frame.energies['potential']:14.3f} kJ/mol"))
    if result.failure:
        raise SystemExit(result.failure.message)
    print(f"Trajectory, energies and provenance are in {folder}")"""
_OTHER = """\
    result = recipe.run()
    if result.failure:
        raise SystemExit(result.failure.message)
    folder.mkdir(exist_ok=True)
    result.save(folder / "provenance.json")
    for name, value in result.values.items():
        print(f"{name:30} {value:.6g}")
    print(f"Everything is in {folder}")"""


def script_of(recipe: Recipe, folder: Path | None = None, title: str = "") -> str:
    """Python that repeats a run and leaves its results in a folder beside itself.

    Args:
        recipe: What was asked for; the paths of its files count from the script where they are not absolute.
        folder: Of the run, where there is one: it tells versions, what was done to the structure, and what was done by hand.
        title: Name for people.
    """
    used: set[type] = {Path}
    if folder is not None:
        recipe = _as_far_as_it_went(recipe, folder)
    code = _code(recipe, used, 0)
    moving = "folder" in inspect.signature(cast(Runnable, recipe).run).parameters
    view = getattr(recipe, "view", None)
    ps = "ps" if view is None or view.clock == "time" else f"ps {view.clock}"
    story = "\n".join(f"# {line}".rstrip() for line in _story(folder, title, ps))
    return _SCRIPT.format(story=story, imports=_imports(used), recipe=code, repeated=REPEATED, body=_MOVING.replace("PS", ps) if moving else _OTHER)


def _as_far_as_it_went(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the number of steps that were recorded: a run that is watched goes on beyond it, or ends before."""
    steps = Table(folder / ENERGIES).columns.get("step")
    if "steps" not in type(recipe).model_fields or steps is None or not steps.any():
        return recipe
    return recipe.model_copy(update={"steps": int(steps[-1])})


def _story(folder: Path | None, title: str, ps: str) -> Iterator[str]:
    """What a reader should know, as lines of comment."""
    yield f"{_line(title) or 'A run'}: Python that repeats it without the app."
    data = _read(folder / PROVENANCE) if folder else {}
    yield from _versions(data.get("provenance"))
    notes = data.get("notes")
    if isinstance(notes, list) and notes:
        yield "What was done to the structure, and what was noticed (the recipe does it again):"
        for note in notes:
            yield from textwrap.wrap(_line(note), WIDTH, initial_indent="- ", subsequent_indent="  ")
    actions = list(_actions(folder / ACTIONS, ps)) if folder else []
    if actions:
        yield "Done by hand during the run, and not repeated below:"
        yield from actions[:_MAX_ACTIONS]
    if len(actions) > _MAX_ACTIONS:
        yield f"- and {len(actions) - _MAX_ACTIONS} more, all in {ACTIONS}"


def _versions(made: object) -> Iterator[str]:
    made = made if isinstance(made, dict) else {}
    packages = [f"{name}=={_line(made[name])}" for name in versions() if name in made and name not in ("python", "platform")]
    if packages:
        yield f"Made with Python {_line(made.get('python'))} on {_line(made.get('platform'))}, and"
        yield from textwrap.wrap(" ".join(packages), WIDTH, break_on_hyphens=False)
    else:
        yield f"Written by Potential Studio {versions()['potential-studio']}."


def _actions(path: Path, ps: str) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            action = json.loads(line)
            when, what, values = float(action.get(CG_TIME, action.get(TIME))), _line(action["action"]), action.get("values") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # torn by a crash
        if what not in _HARMLESS:
            yield f"- at {when:.3f} {ps}: {what} {_line(json.dumps(values)) if values else ''}"[:WIDTH].rstrip()


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _line(text: object) -> str:
    """Text in one line, so that it cannot leave its comment."""
    return " ".join(str(text).split())


def _imports(used: set[type]) -> str:
    """Import lines, the public names from `studio` itself."""
    public, homes = import_module("studio"), defaultdict[str, list[str]](list)  # by name: this file is no part of the list that it looks at
    for kind in used:
        known = kind.__name__ in public.__all__ and getattr(public, kind.__name__) is kind
        homes["studio" if known else "pathlib" if kind is Path else kind.__module__].append(kind.__name__)
    lines = {home: f"from {home} import {', '.join(sorted(names))}" for home, names in homes.items()}
    return "\n".join([lines.pop("pathlib"), "", *(lines[home] for home in sorted(lines))])


def _code(value: object, used: set[type], indent: int) -> str:
    """`value` as Python: settings by what differs from their defaults, broken into lines where they are long.

    Raises:
        StorageError: A plug-in's settings hold what cannot be written down.
    """
    if isinstance(value, BaseModel):
        used.add(type(value))
        return _enclosed(f"{type(value).__name__}(", _arguments(value), ")", used, indent)
    if isinstance(value, tuple):
        return _enclosed("(", [("", item) for item in value], ",)" if len(value) == 1 else ")", used, indent)
    if isinstance(value, Path):
        return f"str(HERE / {value.as_posix()!r})"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    raise StorageError(f"A setting of kind {type(value).__name__} cannot be written as a script. Keep the recipe (JSON) instead.")


def _arguments(settings: BaseModel) -> list[tuple[str, object]]:
    """What differs from the defaults; the path of a file that lies beside the script as a `Path`."""
    fields = type(settings).model_fields
    given: dict[str, object] = {name: getattr(settings, name) for name in fields}
    changed = {name: value for name, value in given.items() if value != fields[name].get_default(call_default_factory=True)}
    path = given.get("path")
    if given.get("kind") == "file" and isinstance(path, str) and not Path(path).is_absolute():
        changed["path"] = Path(path)
    return [(f"{name}=", value) for name, value in changed.items()]


def _enclosed(opening: str, parts: list[tuple[str, object]], closing: str, used: set[type], indent: int) -> str:
    inner = [f"{name}{_code(item, used, indent + 4)}" for name, item in parts]
    short = f"{opening}{', '.join(inner)}{closing}"
    if len(short) + indent <= WIDTH and "\n" not in short:
        return short
    lines = "".join(f"{' ' * (indent + 4)}{part},\n" for part in inner)
    return f"{opening}\n{lines}{' ' * indent}{closing.lstrip(',')}"
