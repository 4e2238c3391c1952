"""The command line's part about learned bead models: `potential-studio beads import | remove`; `models` lists them.

Knows the shelf and what may be opened; turns them into lines of text.
"""

from pathlib import Path

import click


@click.group()
def beads() -> None:
    """Take learned bead models from elsewhere onto your shelf, or off it.

    They lie in your data folder, or where POTENTIAL_STUDIO_DATA says; `potential-studio models` lists them.
    """


@beads.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="That it is to have here; what its card says when left out.")
def take_in(file: Path, name: str | None) -> None:
    """Take in a model: FILE is a checkpoint (.pt, .ckpt) with its card and plain tensors, or a folder with model.json and weights.npz.

    Nothing that is in the file is run: a checkpoint that holds anything but tensors and plain data is refused.
    """
    from studio.coarse import shelf
    from studio.coarse.foreign import take_in

    name = take_in(file, name)
    card = shelf.card(name)
    click.echo(f"'{name}' is on your shelf: {card.title or card.molecule or 'beads'}, {len(card.beads)} beads of {' '.join(card.residues)}.")
    click.echo("It passed its gates, as its card says." if card.passed else card.doubt)
    click.echo(f"See `potential-studio models {name}`; turn the dial to Learned beads where these residues are open.")


@beads.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take your own model NAME off the shelf, for good."""
    from studio.coarse import shelf

    shelf.remove(name)
    click.echo(f"'{name}' is no longer on your shelf.")
