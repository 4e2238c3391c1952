"""The command line: `potential-studio run | runs | beads | examples | models | compile | doctor`, and what plug-ins add (`app`).

Knows recipes by name and folders; shows progress, turns errors into sentences and Ctrl-C into a clean end.
"""

import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from studio import plugins
from studio.cli_beads import beads
from studio.cli_runs import runs
from studio.errors import SettingsError, StorageError, StudioError

if TYPE_CHECKING:
    from studio.coarse.card import BeadCard
    from studio.frame import Frame
    from studio.potentials.catalogue import Entry, Use
    from studio.recipes.base import Recipe, Resumable, Runnable
    from studio.result import Result

PERCENT = 100
"""Where a progress bar ends that counts no steps."""


class _Commands(click.Group):
    """Built-in commands and those of plug-ins; errors meant for users end as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands; plug-ins are not imported."""
        return sorted({*super().list_commands(ctx), *plugins.names("studio.commands")})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or none."""
        builtin = super().get_command(ctx, cmd_name)
        if builtin is None and cmd_name in plugins.names("studio.commands"):
            found: click.Command = plugins.load("studio.commands", cmd_name)
            return found
        return builtin

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end with a sentence and status 1 where something is refused."""
        try:
            return super().invoke(ctx)
        except StudioError as problem:
            raise click.ClickException(str(problem)) from problem


@click.group(cls=_Commands)
@click.version_option(package_name="potential-studio")
@click.option("--verbose", is_flag=True, help="Show what the program tells itself.")
def main(verbose: bool) -> None:
    """Potential Studio: any molecule, any scale, one live window."""
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(name)s: %(message)s")


@main.command()
@click.option("--prepare", is_flag=True, help="Prepare all of them now, so that they open at once later.")
def examples(prepare: bool) -> None:
    """List the bundled examples."""
    from studio.hybrid.view import View
    from studio.recipes.dynamics import Dynamics
    from studio.region import Focus
    from studio.system import EXAMPLES

    for name, example in EXAMPLES.items():
        click.echo(f"{name:26} {example.title}")
        if prepare:
            structure = example.system.prepare()
            if structure.is_beads:  # no force field describes them
                continue
            example.system.parametrise(structure)
            if len(Focus().select(structure)) < len(structure):  # otherwise nothing is left for a force field
                Dynamics(system=example.system, view=View(resolution="nnp/mm")).simulation()


@main.command()
@click.argument("what", required=False)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the results.")
@click.option("--resume", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Go on with the run in this folder.")
@click.option("--steps", type=click.IntRange(0), help="Steps in all, instead of the recipe's.")
def run(what: str | None, out: Path | None, resume: Path | None, steps: int | None) -> None:
    """Run WHAT: the name of an example, or a recipe file.

    Dynamics writes trajectory.xtc, energies.csv, checkpoint.npz and provenance.json into the folder; Ctrl-C ends cleanly, go on with --resume.
    Other recipes write provenance.json, with their values, and their arrays as arrays.npz; strain also keeps what is finished, for --resume.
    """
    from studio.recorder import CHECKPOINT, RECIPE

    if resume is not None:
        what, out = str(resume / RECIPE), resume
    if what is None or out is None:
        raise SettingsError("Expected an example or a recipe and --out DIR, or --resume DIR. `potential-studio examples` lists the examples.")
    if resume is None and (out / CHECKPOINT).exists():
        raise SettingsError(f"{out} holds a run already. Go on with it by --resume {out}, or choose another folder.")
    recipe = _recipe(what)
    if steps is not None:
        recipe = _with_steps(recipe, steps)
    result = _run_with_progress(recipe, out)
    if result.failure:
        raise click.ClickException(result.failure.message)
    _report(result, getattr(recipe, "steps", None), out)


@main.command()
@click.argument("name", required=False)
@click.option("--use", type=click.Choice(["academic", "commercial"]), help="What the results are for; POTENTIAL_STUDIO_USE says it otherwise.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def models(name: str | None, use: "Use | None", as_json: bool) -> None:
    """List the potentials and the learned bead models, or show the card of NAME and what makes it ready.

    Nothing is loaded or downloaded: states are what installed packages and files on disk say.
    """
    from studio.coarse import shelf
    from studio.potentials.catalogue import entries, examine

    if name in shelf.folders():
        _show_bead_card(name, shelf.card(name), as_json=as_json)
        return
    found = (examine(plugins.load("studio.potentials", name)().card, use),) if name else entries(use)
    if as_json:
        beads = [] if name else [{**card.model_dump(mode="json"), "name": key, "state": card.state} for key, card in shelf.cards().items()]
        click.echo(json.dumps([*({**asdict(entry.card), "state": entry.state, "advice": entry.advice} for entry in found), *beads], indent=1))
    elif name:
        _show_card(found[0])
    else:
        _show_table(found)
        _show_beads(shelf.cards())


@main.command("compile")
def compile_network() -> None:
    """Make the compiled form of SO3LR for this machine, which is three times as fast; about 100 s, once."""
    from studio.doctor import compiled_packages
    from studio.potentials.so3lr import SO3LR

    packages = compiled_packages()
    if all(path.exists() for path in packages):
        click.echo(f"The compiled SO3LR is there already, in {packages[0].parent}.")
        return
    click.echo("Compiling SO3LR for this machine: about 100 s, once.")
    SO3LR().compile()
    if not all(path.exists() for path in packages):
        raise StorageError(f"Another process is compiling SO3LR into {packages[0].parent} just now. Look again with `potential-studio doctor`.")
    click.echo(f"Done: SO3LR runs compiled from now on, from {packages[0].parent}.")


main.add_command(runs)
main.add_command(beads)


@main.command()
def doctor() -> None:
    """Check this installation: versions, devices, weights, viewer."""
    from studio.doctor import examine

    findings = examine()
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = click.style("ok     ", fg="green") if finding.ok else click.style("problem", fg="red")
        click.echo(f"{mark}  {finding.subject:{width}}  {finding.text}")
    if not all(finding.ok for finding in findings):
        sys.exit(1)


def _show_table(found: "tuple[Entry, ...]") -> None:
    rows = [("NAME", "STATE", "ELEMENTS", "CHARGE", "SPIN", "METHOD", "LICENCE")]
    for entry in found:
        card = entry.card
        elements = " ".join(card.elements) if len(card.elements) <= 14 else f"{len(card.elements)} elements"
        rows.append((card.name, entry.state, elements, _yes(card.charged), _yes(card.open_shell), card.method, card.licence))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    ready = sum(entry.state == "ready" for entry in found)
    click.echo(f"{ready} of {len(found)} ready. `potential-studio models NAME` shows a card and what makes it ready.")


def _show_beads(cards: "dict[str, BeadCard]") -> None:
    """Learned bead models, a line each."""
    if cards:
        click.echo("Learned bead models:")
    width = max(map(len, cards), default=0)
    for name, card in cards.items():
        click.echo(
            f"{name.ljust(width)}  {card.state.ljust(9)}  {card.title or card.molecule}, {card.labels} mean forces at {card.temperature:g} K, {card.licence}"
        )


def _show_bead_card(name: str, card: "BeadCard", *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**card.model_dump(mode="json"), "name": name, "state": card.state}, indent=1))
        return
    lines = {
        "name": name, "state": card.state, "molecule": card.molecule, "residues": " ".join(card.residues), "beads": f"{len(card.beads)}, {card.scheme}",
        "learned from": f"{card.labels} mean forces at {card.temperature:g} K, {card.reference}",
        "network": f"{card.network.kind}, mean of {card.network.members}, seed {card.seed}", "licence": card.licence, "weights": card.weights_sha256,
        **({"imported from": card.made_with["imported from"]} if "imported from" in card.made_with else {}),
    }  # fmt: skip
    lines |= {f"gate {number}": f"{gate.words}: {'passed' if gate.passed else 'FAILED'}. {gate.note}" for number, gate in enumerate(card.gates, 1)}
    click.echo(card.title or name)
    for what, text in lines.items():
        click.echo(f"  {what:15} {text}")


def _show_card(entry: "Entry") -> None:
    card = entry.card
    lines = {
        "name": card.name, "state": entry.state, "to do": entry.advice, "elements": " ".join(card.elements),
        "charge": "takes the total charge into account" if card.charged else "neutral molecules only",
        "spin": "takes unpaired electrons into account" if card.open_shell else "closed shells only",
        "atomic charges": _yes(card.partial_charges), "method": card.method, "largest": f"{card.max_atoms} atoms", "licence": card.licence,
        "packages": ", ".join(card.packages), "weights": card.source, "kept as": card.file,
        "cite": card.citation, "read": card.doi if card.doi.startswith("http") else f"https://doi.org/{card.doi}",
    }  # fmt: skip
    click.echo(card.title)
    for what, text in lines.items():
        if text:
            click.echo(f"  {what:15} {text}")


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _recipe(what: str) -> "Recipe":
    """The recipe that `what` names."""
    from studio.levels import level
    from studio.recipes.base import load_recipe
    from studio.recipes.dynamics import Dynamics
    from studio.system import EXAMPLES

    if what in EXAMPLES:
        chosen = Dynamics(system=EXAMPLES[what].system)
        return level("calvados2").apply(chosen) if chosen.system.source.beads else chosen
    if not Path(what).exists():
        raise SettingsError(f"'{what}' is neither an example ({', '.join(EXAMPLES)}) nor a file.")
    recipe: Recipe = load_recipe(Path(what))
    return recipe


def _with_steps(recipe: "Recipe", steps: int) -> "Recipe":
    if "steps" not in type(recipe).model_fields:
        raise SettingsError("--steps belongs to recipes that move something; this one has no steps.")
    return recipe.model_copy(update={"steps": steps})


def _run_with_progress(recipe: "Recipe", out: Path) -> "Result":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from studio.recipes.dynamics import Dynamics

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[speed]}"))
    with _interruptible() as interrupted, Progress(*columns) as bar:
        steps: int | None = getattr(recipe, "steps", None)
        task = bar.add_task("Preparing", total=PERCENT if steps is None else steps, speed="")

        def show(frame: "Frame") -> bool:
            if steps is not None:
                speed = f"{frame.ns_per_day:.3g} ns/day  {frame.temperature:.0f} K" if frame.speed else ""
                bar.update(task, completed=frame.step, description="Running", speed=speed)
            return not interrupted

        def tell(fraction: float, text: str) -> None:
            bar.update(task, description=text, completed=round(PERCENT * fraction) if steps is None else None)

        if isinstance(recipe, Dynamics):
            return recipe.run(on_frame=show, progress=tell, folder=out)
        if recipe.resumes:
            result = cast("Resumable", recipe).run(on_frame=show, progress=tell, folder=out)
        else:
            result = cast("Runnable", recipe).run(on_frame=show, progress=tell)
        result.keep(out)
        return result


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Collect Ctrl-C (and termination) in a list instead of breaking off; a second one breaks off."""
    caught: list[int] = []

    def catch(number: int, _frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(result: "Result", steps: int | None, out: Path) -> None:
    for note in result.notes:
        click.echo(f"note: {note}")
    from studio.recorder import CG_TIME, time_of

    values = result.values
    if (time := time_of(values)) is not None:
        clock, kind, name = ("CG time ", "CG ", "cg_ns_per_day") if CG_TIME in values else ("", "", "ns_per_day")
        pace = f"{values[name]:.3g} {kind}ns/day, mean temperature {values['mean_temperature_K']:.0f} K"
        click.echo(f"{values['steps']:.0f} steps, {clock}{time:.3f} ps, {pace}; written to {out}")
        if steps is not None and values["steps"] < steps:
            click.echo(f"Stopped early. Go on with: potential-studio run --resume {out}")
        return
    width = max(map(len, values), default=0)
    for name, value in values.items():
        click.echo(f"{name:<{width}}  {value:>12.6g}")
    click.echo(f"written to {out}")
