"""Chains: disordered chains from their sequences as a small form that becomes the settings of a source, beads without atoms.

Knows letters and the source; what the beads feel is decided elsewhere.
"""

import html

import panel as pn

from studio.errors import SettingsError, StudioError
from studio.io.chains import check_chains, net_charge
from studio.settings import validated
from studio.system import FromChains, Source
from widgets.alerts import Guard
from widgets.desk import css
from widgets.sources import Enter, looks

SHAPES = {"Coil": "coil", "Extended": "extended"}
MOST_COPIES = 62
HINT = "One chain a line, or FASTA. Each residue becomes a bead; CALVADOS moves them in salt water."


class ChainsForm:
    """Sequences that become chains of beads.

    Args:
        guard: Takes what goes wrong.
        enter: Called when the user confirms.
    """

    def __init__(self, guard: Guard, enter: Enter) -> None:
        self.text = pn.widgets.TextAreaInput(
            label="Sequences, one letter a residue", placeholder="DSHAKRHHGYKRKFHEKHHSHRGY", rows=3, auto_grow=True, max_rows=8, max_length=20_000,
            resizable=False, description="Disordered chains of the twenty usual amino acids, one a line or as FASTA.", **looks(),
        )  # fmt: skip
        self.told = pn.pane.HTML(f'<p class="hint">{HINT}</p>', **looks())
        self.copies = pn.widgets.IntInput(label="Copies of each", value=1, start=1, end=MOST_COPIES, description="Several chains, side by side.", **looks())
        self.shape = pn.widgets.Select(label="Shape", options=SHAPES, description="How the chains are laid out at the start.", **looks())
        self.box = pn.widgets.FloatInput(
            label="Box, nm", value=0.0, start=0.0, step=1.0, format="0.[0]", description="Width of a periodic cube, at least 8 nm; 0 for none.", **looks()
        )
        numbers = pn.Row(self.copies, self.box, css_classes=["pair"], stylesheets=css("builder"), margin=0, sizing_mode="stretch_width")
        self.panel = pn.Column(self.text, self.told, numbers, self.shape, css_classes=["stack"], **looks())
        self.text.param.watch(guard.around(lambda _event: self._tell()), "value_input")
        self.copies.param.watch(guard.around(lambda _event: self._tell()), "value")

    def read(self) -> tuple[Source, str]:
        """The source, and what to call it.

        Raises:
            SettingsError: No sequence.
            StructureError: A letter that is no amino acid, or too much of them.
        """
        chains = self._chains()
        if not chains:
            raise SettingsError("Expected a sequence, got none. Type one letter for each residue, a line for each chain.")
        check_chains(chains)
        settings = {"sequences": chains, "shape": self.shape.value, "box_nm": self.box.value or None}
        return validated(FromChains, settings), title_of(chains)

    def show(self, source: FromChains) -> None:
        """Put a source into the form.

        Args:
            source: The source.
        """
        lines = list(dict.fromkeys(source.sequences))
        even = len(source.sequences) % len(lines) == 0 and source.sequences == tuple(lines) * (len(source.sequences) // len(lines))
        text = "\n".join(lines if even else source.sequences)
        self.text.param.update(value=text, value_input=text)
        self.copies.value = len(source.sequences) // len(lines) if even else 1
        self.shape.value, self.box.value = source.shape, source.box_nm or 0.0
        self._tell()

    def _chains(self) -> tuple[str, ...]:
        return chains_of(self.text.value_input or "") * int(self.copies.value or 1)

    def _tell(self) -> None:
        """How many there are, and what is wrong."""
        chains, problem = self._chains(), ""
        try:
            check_chains(chains)
        except StudioError as error:
            problem = str(error)
        if not chains:
            self.told.object = f'<p class="hint">{HINT}</p>'
        elif problem:
            self.told.object = f'<p class="hint problem" role="status">{html.escape(problem)}</p>'
        else:
            number, residues = len(chains), sum(map(len, chains))
            many = f"{number} chains, {residues} residues" if number > 1 else f"{residues} residues"
            self.told.object = f'<p class="hint" role="status">{many}, charge {net_charge(chains):+d} with neutral histidines.</p>'


def chains_of(text: str) -> tuple[str, ...]:
    """The sequences in a text: one a line, or FASTA, whose headers are left out.

    Args:
        text: As typed or pasted.
    """
    lines = [line.strip() for line in text.splitlines()]
    if not any(line.startswith(">") for line in lines):
        return tuple(filter(None, ("".join(line.split()).upper() for line in lines)))
    found: list[str] = []
    for line in lines:
        if line.startswith(">") or not found:
            found.append("")
        if not line.startswith(">"):
            found[-1] += "".join(line.split()).upper()
    return tuple(filter(None, found))


def title_of(chains: tuple[str, ...]) -> str:
    """What chains are called before anybody named them.

    Args:
        chains: Their sequences.
    """
    return f"Chain {chains[0][:20]}" if len(chains) == 1 else f"{len(chains)} chains of {sum(map(len, chains))} residues"
