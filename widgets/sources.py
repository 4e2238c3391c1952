"""Sources: where the molecule comes from - each a small form that becomes the settings of a source, and a title for people.

Knows the sources of `studio.system`; what is put around the molecule and how it is seen is decided elsewhere.
"""

import asyncio
import html
from collections.abc import Callable
from typing import Any

import panel as pn
from param.parameterized import Event

from studio.chem import parse_smiles
from studio.errors import SettingsError, StudioError
from studio.io.glance import Glance, completions, glance
from studio.io.names import smiles_of
from studio.io.targets import TARGETS, target
from studio.settings import validated
from studio.system import EXAMPLES, FromSequence, FromSmiles, FromTarget, Source
from widgets.alerts import Guard
from widgets.desk import css
from widgets.sketcher import Sketcher
from widgets.words import helped

OWN = "Your own molecule"
PAUSE = 0.3
"""Wall time without a key pressed after which a text is looked at, s."""
AS_DRAWN = "as drawn"
N_CAPS = {"Acetyl (ACE)": "ACE", "Free, charged (NH\u2083\u207a)": "NH3"}
C_CAPS = {"Methylamide (NME)": "NME", "Free, charged (COO\u207b)": "COO"}
SHAPES = {"Extended": "extended", "Alpha helix": "helix"}

Enter = Callable[[], None]


def looks() -> dict[str, Any]:
    """What all widgets of the builder have in common."""
    return {"stylesheets": css("builder"), "margin": 0, "sizing_mode": "stretch_width"}


class Tick:
    """One box to tick, with its words: those of Panel's own Checkbox are not tied to the box, so that neither a click on them nor a reader finds it.

    Args:
        words: What it says.
        help_line: What it does.
        on: Ticked.
    """

    def __init__(self, words: str, help_line: str, on: bool = False) -> None:
        self.widget = pn.widgets.CheckBoxGroup(options={words: True}, value=[True] if on else [], tags=helped(help_line), **looks())

    @property
    def on(self) -> bool:
        """Ticked."""
        return bool(self.widget.value)

    @on.setter
    def on(self, on: bool) -> None:
        self.widget.value = [True] if on else []

    def watch(self, act: Callable[[Event], None]) -> None:
        """Call `act` at each change.

        Args:
            act: Takes the event.
        """
        self.widget.param.watch(act, "value")


def on_loop() -> bool:
    """An event loop runs here: that of the server, or of a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class ExampleForm:
    """The systems that come with the program; a choice is opened at once.

    Args:
        on_choice: Called with the name.
    """

    def __init__(self, on_choice: Callable[[str], None]) -> None:
        self._quiet = False
        self.names = pn.widgets.Select(
            label="Example", options={each.title: name for name, each in EXAMPLES.items()}, description="Systems that come with the program.", **looks()
        )
        self.text = pn.pane.HTML("", **looks())
        self.panel = pn.Column(self.names, self.text, css_classes=["stack"], **looks())
        self.names.param.watch(lambda event: self._on_choice(event, on_choice), "value")
        self._tell()

    def show(self, name: str) -> None:
        """Say which one is open.

        Args:
            name: One of `EXAMPLES`, or nothing for the user's own molecule.
        """
        options = {known.title: key for key, known in EXAMPLES.items()} | ({} if name else {OWN: ""})
        self._quiet = True
        self.names.param.update(options=options, value=name)
        self._quiet = False

    def _on_choice(self, event: Event, on_choice: Callable[[str], None]) -> None:
        self._tell()
        if event.new and not self._quiet:
            on_choice(event.new)

    def _tell(self) -> None:
        known = EXAMPLES.get(self.names.value)
        self.text.object = f'<p class="hint">{html.escape(known.description)}</p>' if known else ""


class SmilesForm:
    """A molecule by its name or as SMILES, looked at while it is typed.

    Args:
        guard: Takes what goes wrong.
        enter: Called when Enter is pressed.
    """

    def __init__(self, guard: Guard, enter: Enter) -> None:
        self._guard = guard
        self.seen: Glance | None = None
        self.text = pn.widgets.TextInput(
            label="Name or SMILES", placeholder="aspirin, or CC(=O)Nc1ccc(O)cc1", description="A well-known name, or any SMILES.", **looks()
        )
        self.names = pn.widgets.RadioBoxGroup(
            label="Did you mean", options=[], visible=False, tags=helped("A known name like yours."), css_classes=["chips"], **looks()
        )
        self.told = pn.pane.HTML('<p class="hint">A well-known name, or any SMILES. Enter builds it.</p>', **looks())
        self.isomer = pn.widgets.Select(label="Stereo isomer", description="The drawing leaves it open; as drawn takes one of them.", visible=False, **looks())
        self.tautomer = pn.widgets.Select(label="Tautomer", description="Other places for mobile hydrogens; RDKit's choice on top.", visible=False, **looks())
        self.panel = pn.Column(self.text, self.names, self.told, self.isomer, self.tautomer, css_classes=["stack"], **looks())
        self.text.param.watch(guard.around(lambda event: self._look_later(event.new)), "value_input")
        self.text.param.watch(guard.around(lambda _event: enter()), "enter_pressed")
        self.names.param.watch(guard.around(self._on_choice), "value")
        self.tautomer.param.watch(guard.around(self._on_choice), "value")

    @property
    def smiles(self) -> str:
        """The molecule as it will be built: the text, or the isomer chosen; a name stays a name."""
        return str(self.isomer.value or self.text.value_input).strip()

    def fill(self, text: str) -> None:
        """Put a molecule into the field.

        Args:
            text: A name or a SMILES.
        """
        self.text.param.update(value=text, value_input=text)

    def read(self) -> tuple[Source, str]:
        """The source, and what to call it.

        Raises:
            StructureError: Neither a known name nor a SMILES.
        """
        smiles = smiles_of(self.smiles)
        parse_smiles(smiles)
        return FromSmiles(smiles=smiles), (self.text.value_input or "").strip()

    def show(self, source: FromSmiles) -> None:
        """Put a source into the form.

        Args:
            source: The source.
        """
        self.fill(source.smiles)

    async def look(self, text: str, pause: float = 0.0) -> None:
        """Say what a text is, unless another is typed meanwhile.

        Args:
            text: As typed so far.
            pause: Wait this long for more keys, s.
        """
        await asyncio.sleep(pause)
        if text != self.text.value_input:
            return
        names = completions(text)
        try:
            seen, problem = (await asyncio.to_thread(glance, text) if text.strip() else None), ""
        except StudioError as error:
            seen, problem = None, str(error)
        if text == self.text.value_input:
            self.names.param.update(options=list(names), value=None, visible=bool(names))
            self._tell(seen, "" if names else problem)

    def _look_later(self, text: str) -> None:
        if on_loop():  # a plain script has nobody who looks on
            self._guard.start(self.look(text, PAUSE))

    def _tell(self, seen: Glance | None, problem: str) -> None:
        self.seen = seen
        isomers, tautomers = (seen.isomers, seen.tautomers) if seen is not None else ((), ())
        self.told.object = told(seen) if seen is not None else f'<p class="hint problem" role="status">{html.escape(problem)}</p>'
        self.isomer.param.update(options={AS_DRAWN: "", **{each: each for each in isomers}}, value="", visible=bool(isomers))
        self.tautomer.param.update(options={AS_DRAWN: "", **{each: each for each in tautomers}}, value="", visible=bool(tautomers))

    def _on_choice(self, event: Event) -> None:
        if event.new:
            self.fill(event.new)


def told(seen: Glance) -> str:
    """What a molecule is, in a few words.

    Args:
        seen: The molecule.
    """
    head = f"<b>{html.escape(seen.formula)}</b> \u00b7 charge {seen.charge:+d} \u00b7 {seen.heavy_atoms} heavy atoms, {seen.atoms} in all".replace("+0", "0")
    stereo = (f"Stereo is left open: {len(seen.isomers)} isomers. Choose one below, or one is taken.",) if seen.isomers else ()
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in (*stereo, *seen.notes))
    return f'<div class="glance" role="status"><p>{head}</p>{f"<ul>{notes}</ul>" if notes else ""}</div>'


class SketchForm:
    """A molecule drawn by hand.

    Args:
        guard: Takes what goes wrong.
        on_taken: Called with its SMILES.
    """

    def __init__(self, guard: Guard, on_taken: Callable[[str], None]) -> None:
        self.sketcher = Sketcher(on_taken, guard, css("builder"))
        hint = '<p class="hint">Draw the molecule on a board; it comes back as SMILES. The board is Ketcher, loaded from this machine.</p>'
        self.panel = pn.Column(self.sketcher.pane, pn.pane.HTML(hint, **looks()), css_classes=["stack"], **looks())


class SequenceForm:
    """A peptide by its letters.

    Args:
        guard: Takes what goes wrong.
        enter: Called when Enter is pressed.
    """

    def __init__(self, guard: Guard, enter: Enter) -> None:
        self.text = pn.widgets.TextInput(
            label="Sequence, one letter a residue", placeholder="YGGFL", description="1 to 60 of the twenty usual letters.", **looks()
        )
        self.count = pn.pane.HTML('<p class="hint">1 to 60 natural amino acids, from the N to the C end.</p>', **looks())
        self.n_cap = pn.widgets.Select(label="N end", options=N_CAPS, description="What is in front of the first residue.", **looks())
        self.c_cap = pn.widgets.Select(label="C end", options=C_CAPS, description="What follows the last residue.", **looks())
        self.shape = pn.widgets.Select(label="Shape", options=SHAPES, description="How the backbone is laid out at the start.", **looks())
        ends = pn.Row(self.n_cap, self.c_cap, css_classes=["pair"], **looks())
        self.panel = pn.Column(self.text, self.count, ends, self.shape, css_classes=["stack"], **looks())
        self.text.param.watch(guard.around(lambda event: self._tell(event.new)), "value_input")
        self.text.param.watch(guard.around(lambda _event: enter()), "enter_pressed")

    def read(self) -> tuple[Source, str]:
        """The source, and what to call it.

        Raises:
            SettingsError: Not a sequence.
        """
        letters = (self.text.value_input or "").strip().upper()
        settings = {"sequence": letters, "n_cap": self.n_cap.value, "c_cap": self.c_cap.value, "shape": self.shape.value}
        return validated(FromSequence, settings), f"Peptide {letters[:20]}"

    def show(self, source: FromSequence) -> None:
        """Put a source into the form.

        Args:
            source: The source.
        """
        self.text.param.update(value=source.sequence, value_input=source.sequence)
        self.n_cap.value, self.c_cap.value, self.shape.value = source.n_cap, source.c_cap, source.shape

    def _tell(self, text: str) -> None:
        letters = len(text.strip())
        self.count.object = f'<p class="hint">{letters} residue{"s" * (letters != 1)}, from the N to the C end.</p>'


class ComplexForm:
    """The bundled proteins with their series of ligands."""

    def __init__(self) -> None:
        self.target = pn.widgets.Select(
            label="Protein",
            options={each.title: name for name, each in TARGETS.items()},
            value="tyk2",
            description="Proteins of the JACS set, with posed ligands.",
            **looks(),
        )
        self.ligand = pn.widgets.Select(label="Ligand, with its measured binding free energy", description="In kcal/mol, from experiment.", **looks())
        self.complex = Tick("In the protein, not the ligand alone", "Without it, the ligand is taken in the shape that it has in the protein.", on=True)
        self.panel = pn.Column(self.target, self.ligand, self.complex.widget, css_classes=["stack"], **looks())
        self.target.param.watch(lambda _event: self._list(), "value")
        self._list()

    def read(self) -> tuple[Source, str]:
        """The source, and what to call it.

        Raises:
            SettingsError: No such ligand.
        """
        name, ligand = self.target.value, self.ligand.value
        if not ligand:
            raise SettingsError("Expected a ligand of the series, got none. Choose one.")
        title = f"{target(name).title} with {ligand}" if self.complex.on else f"{target(name).title} ligand {ligand}"
        return FromTarget(target=name, ligand=ligand, complex=self.complex.on), title

    def show(self, source: FromTarget) -> None:
        """Put a source into the form.

        Args:
            source: The source.
        """
        self.target.value = source.target
        self.ligand.value, self.complex.on = source.ligand, source.complex

    def _list(self) -> None:
        try:
            ligands = target(self.target.value).ligands.values()
        except StudioError:  # its data is not installed; building says so
            ligands = {}.values()
        options = {f"{each.name} \u00b7 {_kcal(each.affinity)}": each.name for each in ligands}
        self.ligand.param.update(options=options, value=next(iter(options.values()), None))


def _kcal(affinity: float | None) -> str:
    return "not measured" if affinity is None else f"{affinity:.2f} kcal/mol".replace("-", "\u2212")
