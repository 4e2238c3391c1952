"""Builder: what is simulated - a molecule, where it comes from and what is around it - as a form that becomes a recipe.

Knows the settings of systems and the store that takes recipes; must not know how they are prepared or simulated.
"""

import asyncio
import html
from pathlib import Path

import panel as pn

from studio.coarse.calvados import Calvados
from studio.errors import SettingsError, StudioError
from studio.hybrid.view import Resolution, View
from studio.io.files import SMALL_ENDINGS, ending_of
from studio.recipes.dynamics import Dynamics
from studio.settings import validated
from studio.system import EXAMPLES, FromChains, FromFile, FromSequence, FromSmiles, FromTarget, Implicit, Repairs, Source, System, Vacuum, example
from widgets.alerts import Guard
from widgets.around import ALL, ALONE, Around
from widgets.chains import ChainsForm
from widgets.desk import Desk, Part
from widgets.filing import FileForm
from widgets.sources import ComplexForm, ExampleForm, SequenceForm, SketchForm, SmilesForm, Tick, looks
from widgets.story import Story
from widgets.words import helped

KINDS = {"Examples": "example", "SMILES": "smiles", "Sketch": "sketch", "File": "file", "Sequence": "sequence", "Complex": "target", "Beads": "chains"}
FIRST_VIEW = View(resolution="nnp/mm")
"""How the first system is seen: what this program is for, and quick enough to be watched on two cores."""
STEPS, INTERVAL = 10**10, 100
"""A live run goes on until somebody stops it."""
REMEMBERED = 20
"""Systems that one can go back to."""


def fitting(system: System, view: View) -> View:
    """`view`, or the nearest one that fits what is opened.

    A small molecule by itself has nothing left for MM; surroundings that were asked for are to be seen; and what a PDB file
    holds is not known before it is read, so that it starts by MM, which takes everything.

    Args:
        system: What is opened.
        view: How the user saw the last one.
    """
    if system.source.beads:
        return view if view.resolution == "beads" else view.model_copy(update={"resolution": "beads", "beads": Calvados()})
    wanted: dict[Resolution, Resolution] = {"nnp": "nnp/mm", "beads": "mm"}
    if isinstance(system.surroundings, Vacuum | Implicit):
        wanted = {"nnp/mm": "nnp"} if _small(system.source) else {"nnp/mm": "mm", "nnp": "mm"}
        wanted["beads"] = "mm"
    return view.model_copy(update={"resolution": wanted.get(view.resolution, view.resolution)})


def first_view(system: System, now: Dynamics | None) -> View:
    """How a system is seen first: as the one before, less what was said about its atoms.

    Args:
        system: What is opened.
        now: What is shown before, if anything is.
    """
    view = now.view if now is not None else FIRST_VIEW
    if now is None or not _same(now.system.source, system.source):
        fresh = View()
        view = view.model_copy(update={name: getattr(fresh, name) for name in ("region", "also", "charge", "multiplicity")})
    return fitting(system, view)


def _small(source: Source) -> bool:
    """A small molecule by itself."""
    match source:
        case FromSmiles():
            return True
        case FromFile(path=path):
            return ending_of(path) in SMALL_ENDINGS
        case FromTarget(complex=whole):
            return not whole
    return False


class Builder(Part):
    """What is simulated. In a notebook: `await builder.open_smiles("aspirin")`, or set `builder.system` and `await builder.build()`.

    Args:
        desk: Shared with other parts; one of its own when left out.

    Attributes:
        form: Where the molecule is named.
        story: Its drawing, and what was done to it.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self._form_guard = Guard(self._say)
        self._base: System | None = None
        self._asked: Dynamics | None = None
        self._said_then: System | None = None
        self._shown: tuple[Dynamics, str] | None = None
        self._history: list[tuple[Dynamics, str]] = []
        begin = self._form_guard.start
        self.chains = ChainsForm(self._form_guard, self._enter)
        self.examples = ExampleForm(lambda name: begin(self.open_example(name)))
        self.smiles, self.sequence = SmilesForm(self._form_guard, self._enter), SequenceForm(self._form_guard, self._enter)
        self.sketch, self.file, self.complex = (
            SketchForm(self._form_guard, self._take_sketch),
            FileForm(self._form_guard, self.build, self.desk.take_upload),
            ComplexForm(),
        )
        self.kind = pn.widgets.RadioBoxGroup(
            label="Molecule from", options=KINDS, value="example", tags=helped("How the molecule is given."), **{**looks(), "css_classes": ["segments"]}
        )
        self.around = Around()
        self.ph = pn.widgets.FloatInput(label="pH", value=7.4, step=0.1, format="0.[0]", description="For hydrogens that are added.", **looks())
        self.protonate = Tick("Protonate for it", "Give small molecules the typical state at this pH, instead of the one that is drawn.")
        self.protonate.widget.align = "end"
        self.go = pn.widgets.Button(
            label="Build", description="Prepares the system beside the present one, which goes on until it is ready.", **{**looks(), "css_classes": ["primary"]}
        )
        self.previous = pn.widgets.Button(
            label="Previous system", description="Back to the system that was open before this one.", disabled=True, **{**looks(), "css_classes": ["quiet"]}
        )
        self.problem = pn.pane.HTML("", visible=False, **looks())
        self.tale = Story(self.desk, lambda system: begin(self.open(system)))
        self._arrange()
        self._connect()
        self._unfold()

    # -- opening -------------------------------------------------------------------------------------------------------

    @property
    def system(self) -> System:
        """What the form says.

        Raises:
            StudioError: Something is missing or out of range; the sentence says what.
        """
        return self._read()[0]

    @system.setter
    def system(self, system: System) -> None:
        self._base = system
        name = next((name for name, known in EXAMPLES.items() if known.system == system), "")
        self.examples.show(name)
        if name or system.source.kind == "example":
            self.kind.value = "example"
            return
        self.kind.value = system.source.kind
        self._show(system.source)
        self.around.value, self.ph.value = system.surroundings, system.ph
        self.protonate.on = getattr(system.source, "protonation", "as_drawn") == "at_ph"

    async def build(self) -> None:
        """Build what the form says.

        Raises:
            StudioError: Something is missing or out of range; nothing changes.
        """
        system, title = await asyncio.to_thread(self._read)
        await self.open(system, title)

    async def open(self, system: System, title: str = "") -> None:
        """Build a system; the one that is shown goes on until it is ready.

        Args:
            system: What is simulated.
            title: Name of it for people; the present one when left out.

        Raises:
            StudioError: Nothing can be built from this; nothing changes.
        """
        self._say("")
        view = first_view(system, self.store.recipe)
        settings = {"system": system, "view": view, "temperature": self.store.temperature, "steps": STEPS, "interval": INTERVAL}
        if view.resolution == "beads":
            settings["friction"] = view.beads.friction
        self._asked, self._said_then = validated(Dynamics, settings), self._said()
        await self.store.open(self._asked, title)

    async def open_example(self, name: str) -> None:
        """Build a bundled example.

        Args:
            name: One of `studio.system.EXAMPLES`.

        Raises:
            PluginError: No such example.
        """
        chosen = example(name)
        self.system = chosen.system
        await self.open(chosen.system, chosen.title)

    async def open_smiles(self, text: str) -> None:
        """Build a molecule given as SMILES, or by a well-known name.

        Args:
            text: The SMILES or the name.

        Raises:
            StructureError: Neither; nothing changes.
        """
        self.kind.value = "smiles"
        self.smiles.fill(text)
        await self.build()

    async def open_name(self, name: str) -> None:
        """Build a well-known molecule; the same as `open_smiles`, which takes both.

        Args:
            name: Its name.

        Raises:
            StructureError: Not known; nothing changes.
        """
        await self.open_smiles(name)

    async def open_file(self, path: str | Path, index: int | None = None, ligand_smiles: str = "") -> None:
        """Build the molecule in a file; of several, the one that is said.

        Args:
            path: SDF, MOL2, PDB or mmCIF.
            index: Which molecule, counted from 0.
            ligand_smiles: Bond orders of the ligand in a PDB or mmCIF file.

        Raises:
            StructureError: It cannot be understood; nothing changes.
            StorageError: It cannot be read.
        """
        self.kind.value = "file"
        self.file.fill_ligand(ligand_smiles)
        await self.file.open(Path(path), index)

    async def open_sequence(self, sequence: str, n_cap: str = "ACE", c_cap: str = "NME", shape: str = "extended") -> None:
        """Build a peptide.

        Args:
            sequence: One-letter codes from the N end.
            n_cap: `ACE` or `NH3`.
            c_cap: `NME` or `COO`.
            shape: `extended` or `helix`.

        Raises:
            SettingsError: A cap or shape that there is not.
            StructureError: Not a sequence.
        """
        source = validated(FromSequence, {"sequence": sequence, "n_cap": n_cap, "c_cap": c_cap, "shape": shape})
        self.kind.value = "sequence"
        self.sequence.show(source)
        await self.build()

    async def open_chains(self, *sequences: str, box_nm: float | None = None) -> None:
        """Build disordered chains as beads.

        Args:
            sequences: One-letter codes from the N end, one for each chain.
            box_nm: Width of a periodic cube, nm; none without.

        Raises:
            StructureError: A letter that is no amino acid, or too much of them.
        """
        self.kind.value = "chains"
        self.chains.show(validated(FromChains, {"sequences": sequences, "box_nm": box_nm}))
        await self.build()

    async def open_target(self, target: str, ligand: str, complex: bool = True) -> None:  # noqa: A002 - the word of FromTarget
        """Build a bundled complex.

        Args:
            target: Name of the protein, one of `studio.io.targets.TARGETS`.
            ligand: Name of the ligand.
            complex: With the protein around it.

        Raises:
            StudioError: There is no such protein, or no such ligand.
        """
        self.kind.value = "target"
        self.complex.show(FromTarget(target=target, ligand=ligand, complex=complex))
        await self.build()

    async def back(self) -> None:
        """Go back to the system before."""
        if self._history:
            recipe, title = self._history[-1]
            self._asked = recipe
            self.system = recipe.system
            await self.store.open(recipe, title)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        forms = (self.examples, self.smiles, self.sketch, self.file, self.sequence, self.complex, self.chains)
        self._folds = dict(zip(KINDS.values(), (form.panel for form in forms), strict=True))
        hint = pn.pane.HTML('<span class="label">Molecule from</span>', **looks())
        self._settings = pn.Column(self.around.panel, pn.Row(self.ph, self.protonate.widget, css_classes=["pair"], **looks()), css_classes=["stack"], **looks())
        parts = (hint, self.kind, *self._folds.values(), self._settings, self.problem, self.go, self.previous)
        self.form = pn.Column(*parts, css_classes=["stack"], **looks())
        self.story = self.tale.panel
        self.panel = pn.Column(self.form, self.story, css_classes=["stack"], **looks())

    def _connect(self) -> None:
        guard = self._form_guard
        self.kind.param.watch(guard.around(lambda _event: self._unfold()), "value")
        self.complex.complex.watch(guard.around(lambda _event: self._unfold()))
        self.go.on_click(guard.around(lambda _event: self._enter()))
        self.previous.on_click(guard.around(lambda _event: guard.start(self.back())))
        self.store.param.watch(self.guard.around(lambda _event: self._follow()), "recipe")

    def _unfold(self) -> None:
        """Show what belongs to the source that is chosen."""
        kind = self.kind.value
        for name, fold in self._folds.items():
            fold.visible = name == kind
        self._settings.visible = self.go.visible = kind not in ("example", "sketch")
        self.protonate.widget.visible = kind in ("smiles", "file")
        self.around.panel.visible = kind != "chains"
        if kind in ("smiles", "sequence") or (kind == "target" and not self.complex.complex.on):
            self.around.offer(ALONE)
        elif kind in ("file", "target"):
            self.around.offer(ALL if kind == "target" else (*ALONE, "pocket"))
        self.sketch.sketcher.pane.smiles = self.smiles.smiles if kind == "sketch" else ""
        self._say("")

    def _show(self, source: Source) -> None:
        match source:
            case FromSmiles():
                self.smiles.show(source)
            case FromFile():
                self.file.show(source)
            case FromSequence():
                self.sequence.show(source)
            case FromTarget():
                self.complex.show(source)
            case FromChains():
                self.chains.show(source)

    def _read(self) -> tuple[System, str]:
        kind = self.kind.value
        if kind == "sketch":
            raise SettingsError("Draw a molecule first; it is built from its SMILES.")
        if kind == "example":
            return self._example()
        forms = {"smiles": self.smiles.read, "file": self.file.read, "sequence": self.sequence.read, "target": self.complex.read, "chains": self.chains.read}
        source, title = forms[kind]()
        if isinstance(source, FromSmiles | FromFile):
            source = source.model_copy(update={"protonation": "at_ph" if self.protonate.on else "as_drawn"})
        base = self._base or System(source=source)
        repairs = base.repairs if _same(base.source, source) else Repairs()
        form = {"source": source, "surroundings": Vacuum() if source.beads else self.around.value, "ph": self.ph.value, "repairs": repairs}
        return validated(System, {"forcefield": base.forcefield, "seed": base.seed, **form}), title

    def _example(self) -> tuple[System, str]:
        name = self.examples.names.value
        if name:
            return EXAMPLES[name].system, EXAMPLES[name].title
        if self._base is None:
            raise SettingsError("Choose an example first.")
        return self._base, ""

    def _follow(self) -> None:
        """Another system is shown: remember the one before, and say in the form what is there, as it was set up, whatever level is on."""
        recipe, shown = self.store.home or self.store.recipe, self._shown
        if recipe is None:
            return
        if shown is None or recipe.system != shown[0].system:
            self._remember(recipe, shown)
            self._fill_in(recipe)
        self._shown = (recipe, self.store.title)
        self.examples.show(next((name for name, known in EXAMPLES.items() if known.system == recipe.system), ""))

    def _fill_in(self, recipe: Dynamics) -> None:
        """Say in the form what is shown, unless the user has gone on to write something else there."""
        said = self._said()
        if said != recipe.system and (recipe is not self._asked or said == self._said_then):
            self.system = recipe.system

    def _said(self) -> System | None:
        try:
            return self.system
        except StudioError:
            return None

    def _remember(self, recipe: Dynamics, shown: tuple[Dynamics, str] | None) -> None:
        if self._history and self._history[-1][0] is recipe:
            self._history.pop()
        elif shown is not None:
            self._history = [*self._history, shown][-REMEMBERED:]
        self._base = recipe.system
        title = self._history[-1][1] if self._history else ""
        self.previous.param.update(disabled=not self._history, description=f"Back to {title}." if title else "Back to the system before.")

    def _enter(self) -> None:
        self._form_guard.start(self.build())

    def _take_sketch(self, smiles: str) -> None:
        self.kind.value = "smiles"
        self.smiles.fill(smiles)

    def _say(self, sentence: str) -> None:
        text = f'<p class="problem" role="alert">{html.escape(sentence)}</p>' if sentence else ""
        self.problem.param.update(object=text, visible=bool(sentence))


def _same(one: Source, other: Source) -> bool:
    """The same molecule, whatever its protonation."""
    update = {"protonation": "as_drawn"}
    return one == other or (type(one) is type(other) and hasattr(one, "protonation") and one.model_copy(update=update) == other.model_copy(update=update))
