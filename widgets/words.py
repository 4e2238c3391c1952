"""Words: what people read - numbers, tables, cards, small drawings - as text for the page.

Knows units and names for people; must not know where a text stands or who changes it.
"""

import html

from studio.coarse.card import BeadCard, GateLine
from studio.frame import Frame
from studio.messages import State
from studio.potentials.base import Card
from studio.structure import Structure
from studio.units import KJ_PER_KCAL, NM_PER_ANGSTROM, PICONEWTON

STATES: dict[State, str] = {
    "preparing": "preparing", "paused": "paused", "playing": "playing", "failed": "stopped", "lost": "worker lost", "closed": "nothing open"
}  # fmt: skip
ENERGIES = {
    "potential": "Potential", "network": "Network (NNP)", "mm": "MM", "embedding": "Embedding", "polarisation": "Polarisation", "pull": "Pull",
    "restraint": "Held atoms", "kinetic": "Kinetic",
}  # fmt: skip
"""What people call the components of the energy, in the order of reading."""
PARTS = ("network", "mm", "embedding", "polarisation")
"""What the potential energy is made of."""
KCAL_PER_ANGSTROM = NM_PER_ANGSTROM / KJ_PER_KCAL
"""kcal/mol/angstrom in a kJ/mol/nm."""
VERDICTS = {"passed": "It passed all of them.", "failed": "It failed; it is used as a trial only.", "not gated": "It was never compared with its reference."}
"""What is said of a learned bead model by how it is."""
_SHAPES = {
    "play": '<path d="M7 4.5v15l12.5-7.5z"/>',
    "pause": '<path d="M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z"/>',
    "step": '<path d="M6 4.5v15l9.5-7.5z"/><path d="M16.5 4.5H19v15h-2.5z"/>',
    "reset": '<path d="M18 4.5v15L8.5 12z"/><path d="M5 4.5h2.5v15H5z"/>',
    "back": '<path d="M12 4a8 8 0 1 1-7.6 10.5l2-.7A5.9 5.9 0 1 0 7.6 8H11v2H4V3h2v3.7A8 8 0 0 1 12 4z"/>',
    "theme": '<path d="M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2.2v13.6a6.8 6.8 0 0 1 0-13.6z"/>',
    "look": '<path d="M2 12c6-9 14-9 20 0c-6 9-14 9-20 0z" fill="none" stroke="currentColor" stroke-width="2"/><circle cx="12" cy="12" r="3"/>',
    "pick": '<circle cx="12" cy="12" r="7.5" fill="none" stroke="currentColor" stroke-width="2"/><circle cx="12" cy="12" r="3"/>',
    "pull": '<circle cx="6" cy="18" r="4"/><path d="M9 15L20 4m-7 0h7v7" fill="none" stroke="currentColor" stroke-width="2"/>',
    "style": '<path d="M3 7h18M3 17h18" stroke="currentColor" stroke-width="2"/><circle cx="15" cy="7" r="3.5"/><circle cx="9" cy="17" r="3.5"/>',
    "centre": '<path d="M12 2v6m0 8v6M2 12h6m8 0h6" stroke="currentColor" stroke-width="2"/><circle cx="12" cy="12" r="2.5"/>',
    "picture": '<path d="M4 7h4l2-3h4l2 3h4v12H4z" fill="none" stroke="currentColor" stroke-width="2"/><circle cx="12" cy="13" r="3"/>',
}  # fmt: skip


def icon(name: str) -> str:
    """A small drawing for a button; part of the page, so that none is fetched.

    Args:
        name: What the button does.
    """
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="currentColor" aria-hidden="true">{_SHAPES[name]}</svg>'


def helped(sentence: str) -> list[str]:
    """The help of a widget that has no place for one, as its `tags`; the header hands it to the page.

    Args:
        sentence: One line.
    """
    return [f"help: {sentence}"]


def figures(value: float | None, digits: int = 0) -> str:
    """A number as people read it: thousands apart, a true minus sign, a dash for none.

    Args:
        value: The number.
        digits: After the point.
    """
    return "\u2013" if value is None else f"{value:,.{digits}f}".replace(",", "\u2009").replace("-", "\u2212")


def effort(frame: Frame) -> str:
    """Force and work of a pull, as they stand beside the spring.

    Args:
        frame: The newest.
    """
    force = f"{figures(frame.pull_force * PICONEWTON)} pN ({figures(frame.pull_force * KCAL_PER_ANGSTROM, 2)} kcal/mol/\u00c5)"
    return f"{force}, work {figures(frame.pull_work / KJ_PER_KCAL, 1)} kcal/mol"


def duration(seconds: float) -> str:
    """A time that something may still take, as roughly as it is known.

    Args:
        seconds: Of wall time.
    """
    if seconds < 8.0:
        return "a few seconds"
    if seconds < 90.0:
        return f"about {5 * max(2, round(seconds / 5))} s"
    return f"about {round(seconds / 60)} min"


def atom_name(structure: Structure, atom: int) -> str:
    """The shortest name of an atom: `C7`, or `GLY93:CA` where there are several residues.

    Args:
        structure: Holds it.
        atom: Its index.
    """
    residue = structure.residue_of(atom)
    return structure.names[atom] if len(structure.residues) == 1 else f"{residue.name}{residue.number}:{structure.names[atom]}"


def table_of(frame: Frame | None, clock: str = "time") -> str:
    """The numbers of a frame as a table; components that are zero, or the same as the whole, have no row.

    Args:
        frame: The newest, or none yet.
        clock: What its time is called.
    """
    if frame is None:
        return '<p class="hint">Numbers appear here when something moves.</p>'
    energies = {name: energy for name, energy in frame.energies.items() if energy or name == "potential"}
    if sum(name in energies for name in PARTS) == 1:
        energies = {name: energy for name, energy in energies.items() if name not in PARTS}
    names = [*(name for name in ENERGIES if name in energies), *(name for name in energies if name not in ENERGIES)]
    rows = [
        (clock[0].upper() + clock[1:], frame.time, 3, "ps"), ("Temperature", frame.temperature, 0, "K"), ("Time step", frame.timestep, 1, "fs"),
        ("Speed", frame.speed, 0, "steps/s"), ("", frame.ns_per_day, 2, per_day(clock)),
        *((ENERGIES.get(name, name), energies[name] / KJ_PER_KCAL, 1, "kcal/mol") for name in names),
    ]  # fmt: skip
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{figures(value, digits)}</td><td>{unit}</td></tr>" for name, value, digits, unit in rows)
    return f'<table class="numbers">{cells}</table>'


def per_day(clock: str) -> str:
    """The unit of simulated time in a day of wall time.

    Args:
        clock: What the time of a run is called; that of beads is never that of atoms.
    """
    return "ns/day" if clock == "time" else "CG ns/day"


def bead_card_of(card: BeadCard) -> str:
    """The card of a learned bead model: what it is, what it was learned from, and each gate with what came out.

    Args:
        card: The card.
    """
    network = f"{card.network.kind}, mean of {card.network.members}"
    rows = [
        ("Molecule", f"{card.molecule}: {' '.join(card.residues)}"), ("Beads", f"{len(card.beads)}, {card.scheme}"),
        ("Learned from", f"{figures(card.labels)} mean forces at {card.temperature:g} K, {card.reference or 'reference not told'}"),
        ("Network", network), ("Gates", VERDICTS[card.state]), *((f"Gate {place}", _gate(gate)) for place, gate in enumerate(card.gates, 1)),
        ("Licence", card.licence), ("Weights", f"SHA-256 {card.weights_sha256[:16]}\u2026"),
    ]  # fmt: skip
    cells = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="card">{cells}</table>'


def _gate(gate: GateLine) -> str:
    note = f" ({gate.note})" if gate.note else ""
    return f"{'Passed' if gate.passed else 'FAILED'}: {gate.words}{note}"


def card_of(card: Card | None) -> str:
    """A potential's card.

    Args:
        card: The card, or none where no network is used.
    """
    if card is None:
        return ""
    charge = "charged and neutral" if card.charged else "neutral only"
    spin = "open and closed shell" if card.open_shell else "closed shell"
    rows = (("Elements", " ".join(card.elements)), ("Molecules", f"{charge}, {spin}"), ("Learned from", card.method), ("Licence", card.licence))
    cells = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="card">{cells}</table><p class="cite">{html.escape(card.citation)}<br>doi {html.escape(card.doi)}</p>'
