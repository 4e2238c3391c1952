"""The command line's part about kept runs: `potential-studio runs list | show | export | delete | restore | purge`.

Knows the library and what can be exported; turns them into lines of text.
"""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studio.errors import SettingsError

if TYPE_CHECKING:
    from studio.entry import Entry
    from studio.library import Library

HEADINGS = ("RUN", "STATUS", "TIME", "FRAMES", "ATOMS", "SEEN AS", "CREATED", "TITLE")


@click.group()
def runs() -> None:
    """List, show, export and delete the runs that are kept.

    They lie in your data folder, or where POTENTIAL_STUDIO_DATA says.
    """


@runs.command("list")
@click.option("--deleted", is_flag=True, help="What is in the bin instead.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_runs(deleted: bool, as_json: bool) -> None:
    """List the kept runs, the newest first."""
    library = _library()
    entries = [library.refresh(entry.id) for entry in library.entries(deleted=deleted)]
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=1, default=str))
        return
    rows = [HEADINGS, *map(_row, entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if not entries:
        click.echo("The bin is empty." if deleted else "No runs are kept yet.")


@runs.command()
@click.argument("run", type=int)
def show(run: int) -> None:
    """Tell everything about RUN: inputs, versions, notes."""
    from studio.entry import WORDS

    entry = _library().refresh(run)
    lines = {
        "title": entry.title, "status": WORDS[entry.status], "folder": str(entry.folder), "created": _moment(entry.created),
        "deleted": _moment(entry.deleted) if entry.deleted else "", "recipe": entry.kind, "seen as": _seen(entry),
        "thermostat": f"{entry.temperature:g} K" if entry.temperature is not None else "", "atoms": str(entry.atoms or ""),
        "recorded": f"{entry.frames} frames, {entry.time_ps:.3f} ps{' CG time' * (entry.clock != 'time')}", "on disk": f"{entry.megabytes:.1f} MB", "owner": entry.owner, "note": entry.note,
    }  # fmt: skip
    click.echo(f"run {entry.id}")
    for what, text in [*lines.items(), *entry.provenance.items()]:
        if text:
            click.echo(f"  {what:15} {text}")
    for note in entry.notes:
        click.echo(f"note: {note}")


@runs.command()
@click.argument("run", type=int)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--first", type=click.IntRange(0), help="Frame to begin with, counted from 0.")
@click.option("--last", type=click.IntRange(1), help="Frame to end before.")
@click.option("--stride", type=click.IntRange(1), default=1, show_default=True, help="Take every so many frames.")
def export(run: int, file: Path, first: int | None, last: int | None, stride: int) -> None:
    """Write RUN into FILE; its ending says what.

    .xtc .dcd (with a topology beside them) or .pdb: the trajectory; .zip: everything, with a script that repeats the run; .py: the script; .json: the recipe.
    """
    from studio import export as exports
    from studio.files import write_whole

    entry, ending = _library().get(run), file.suffix.lower()
    if ending == ".zip":
        exports.export_bundle(entry.folder, file, entry.title)
    elif ending == ".py":
        exports.export_script(entry.folder, file, entry.title)
    elif ending == ".json":
        write_whole(file, (exports.recipe_in(entry.folder).to_json() + "\n").encode())
    elif ending in exports.ENDINGS:
        click.echo(f"{exports.export_trajectory(entry.folder, file, first, last, stride=stride)} frames")
    else:
        raise SettingsError(f"'{file.name}' ends in '{ending}'. Expected one of {' '.join(exports.ENDINGS)} .zip .py .json.")
    click.echo(f"Written to {file}")


@runs.command()
@click.argument("run", type=int)
def delete(run: int) -> None:
    """Put RUN into the bin."""
    entry = _library().delete(run)
    click.echo(f"Run {entry.id} ({entry.title}) is in the bin. Take it back with: potential-studio runs restore {entry.id}")


@runs.command()
@click.argument("run", type=int)
def restore(run: int) -> None:
    """Take RUN out of the bin."""
    entry = _library().restore(run)
    click.echo(f"Run {entry.id} ({entry.title}) is back.")


@runs.command()
@click.option("--days", type=click.FloatRange(0.0), default=7.0, show_default=True, help="What has been in the bin for so long.")
@click.confirmation_option(prompt="Remove the runs in the bin for good?")
def purge(days: float) -> None:
    """Empty the bin, for good."""
    gone = _library().purge(days)
    click.echo(f"Removed: {', '.join(f'run {run}' for run in gone)}." if gone else f"Nothing has been in the bin for {days:g} days.")


def _library() -> "Library":
    from studio.library import Library

    return Library()


def _row(entry: "Entry") -> tuple[str, ...]:
    time = f"{entry.time_ps:.3f} ps{' CG' * (entry.clock != 'time')}" if entry.frames else ""
    return str(entry.id), entry.status, time, str(entry.frames or ""), str(entry.atoms or ""), _seen(entry), _moment(entry.created), entry.title


def _seen(entry: "Entry") -> str:
    return " ".join(text for text in (entry.resolution.upper(), entry.potential) if text) or entry.kind


def _moment(when: datetime) -> str:
    """A moment on the reader's clock."""
    return f"{when.astimezone():%Y-%m-%d %H:%M}"
