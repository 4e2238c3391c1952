"""Forms: what the user fills in becomes a recipe, checked by its own settings before anything runs.

Knows the settings of systems, views and dynamics, and the store that takes recipes; must not know how they are simulated.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent
from param.parameterized import Event

from studio import chem
from studio.errors import SettingsError, StructureError
from studio.hybrid.view import TIMESTEPS, Resolution, View
from studio.io import MAX_MEGABYTES
from studio.potentials.base import Card
from studio.recipes.dynamics import Dynamics
from studio.settings import validated
from studio.system import EXAMPLES, FromFile, FromSmiles, Implicit, Pocket, Surroundings, System, Vacuum, WaterBox, example
from widgets.alerts import Guard
from widgets.store import Store

RESOLUTIONS: dict[Resolution, str] = {"nnp": "NNP", "nnp/mm": "NNP/MM", "mm": "MM"}
MEANINGS: dict[Resolution, str] = {
    "nnp": "The whole molecule by the network, alone in vacuum.",
    "nnp/mm": "The ligand by the network, everything else by the force field.",
    "mm": "Everything by the force field.",
}
SURROUNDINGS: dict[str, Surroundings] = {
    "Nothing (vacuum)": Vacuum(),
    "A box of water": WaterBox(),
    "Continuum water": Implicit(),
    "Its pocket and a droplet of water": Pocket(),
}
ENDINGS = ".sdf,.mol,.pdb,.ent,.cif,.mmcif"
OWN = "Your own molecule"
HOTTEST = 600.0
"""End of the temperature slider, K; the field takes all that the settings allow."""


class UploadPane(JSComponent):
    """The part of the file field that lives in the page; its parameters are what `upload.js` reads."""

    label = param.String(default="Open a file", doc="What it is for.")
    hint = param.String(default=f"SDF, PDB or mmCIF, up to {MAX_MEGABYTES:g} MB", doc="What is welcome.")
    accept = param.String(default=ENDINGS, doc="Endings, separated by commas.")
    megabytes = param.Number(default=MAX_MEGABYTES, doc="Larger files do not travel.")

    _esm = Path(__file__).parent / "static" / "upload.js"


class Upload:
    """A file field: the file comes in pieces and is handed on whole.

    Args:
        on_file: Called with the name and the bytes.
        on_too_large: Called with the name and the size, MB, of a file that does not travel.
        css: Stylesheets.
    """

    def __init__(self, on_file: Callable[[str, bytes], None], on_too_large: Callable[[str, float], None], css: list[str]) -> None:
        self._on_file, self._on_too_large = on_file, on_too_large
        self._pieces: list[bytes] = []
        make: Callable[..., UploadPane] = UploadPane
        self.pane = make(stylesheets=css, margin=0, sizing_mode="stretch_width")
        self.pane.on_msg(lambda event: self.hear(event.data))

    def hear(self, message: object) -> None:
        """Take a message of the page; see `upload.js`.

        Args:
            message: A piece of a file, or the refusal of one.
        """
        match message:
            case {"name": str(name), "refused": int() | float() as megabytes}:
                self._on_too_large(name, float(megabytes))
            case {"name": str(name), "index": int(index), "total": int(total), "data": bytes() | bytearray() | memoryview() as piece}:
                self._pieces = [*self._pieces[:index], bytes(piece)]
                size = sum(map(len, self._pieces)) / 1e6
                if size > MAX_MEGABYTES:
                    self._pieces = []
                    self._on_too_large(name, size)
                elif index + 1 == total:
                    data, self._pieces = b"".join(self._pieces), []
                    self._on_file(name, data)


def safe_name(name: str) -> str:
    """A file name that is only a name: no folder, no surprise, the ending kept.

    Args:
        name: As the browser gave it.
    """
    path = Path(name.replace("\\", "/"))
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_")[:60] or "molecule"
    return stem + re.sub(r"[^A-Za-z0-9.]+", "", path.suffix.lower())[:8]


@dataclass(frozen=True)
class Choice:
    """What the view form says.

    Args:
        view: How to see it.
        timestep: Length of a step, fs; what the resolution bears when left out.
    """

    view: View
    timestep: float | None = None

    def recipe(self, system: System, temperature: float) -> Dynamics:
        """The recipe for `system`; checked.

        Args:
            system: What is simulated.
            temperature: Of the thermostat, K.

        Raises:
            SettingsError: A setting is out of range.
        """
        settings = {"system": system, "view": self.view, "temperature": temperature, "timestep": self.timestep, "steps": 10**10, "interval": 500}
        return validated(Dynamics, settings)


def fitting(system: System, view: View) -> View:
    """`view`, or the nearest one that fits what is opened.

    A small molecule by itself has nothing left for MM; surroundings that were asked for are to be seen; and what a PDB file
    holds is not known before it is read, so that it starts by MM, which takes everything.

    Args:
        system: What is opened.
        view: How the user saw the last one.
    """
    source, bare = system.source, isinstance(system.surroundings, Vacuum | Implicit)
    small = isinstance(source, FromSmiles) or (isinstance(source, FromFile) and Path(source.path).suffix.lower() in (".sdf", ".mol"))
    wanted: dict[Resolution, Resolution] = {"nnp": "nnp/mm"}
    if bare:
        wanted = {"nnp/mm": "nnp"} if small else {"nnp/mm": "mm", "nnp": "mm"}
    return view.model_copy(update={"resolution": wanted.get(view.resolution, view.resolution)})


class SystemForm:
    """What is simulated: an example, a SMILES, or a file.

    Args:
        store: Takes the recipes.
        guard: Takes what goes wrong.
        view: Says how the system is seen.
        folder: Where uploaded files are kept while the page is open.
        css: Stylesheets of the widgets.
    """

    def __init__(self, store: Store, guard: Guard, view: "ViewForm", folder: Path, css: list[str]) -> None:
        self.store, self.guard, self.view, self.folder = store, guard, view, folder
        self._files, self._quiet = 0, False
        looks: dict[str, Any] = {"stylesheets": css, "margin": 0, "sizing_mode": "stretch_width"}
        self.example = pn.widgets.Select(label="Example", options={e.title: name for name, e in EXAMPLES.items()}, **looks)
        self.smiles = pn.widgets.TextInput(label="SMILES", placeholder="CC(=O)Nc1ccc(O)cc1, then Enter", **looks)
        self.ligand = pn.widgets.TextInput(label="SMILES of the ligand in a PDB file", placeholder="gives its bond orders", **looks)
        self.around = pn.widgets.Select(label="Around your own molecule", options=list(SURROUNDINGS), **looks)
        self.upload = Upload(lambda name, data: guard.start(self.take_file(name, data)), lambda *file: store.refuse(too_large(*file)), css)
        self.example.param.watch(self._on_example, "value")
        self.smiles.param.watch(self._on_smiles, "value")
        store.param.watch(lambda _event: self.sync(), "recipe")
        self.panel = pn.Column(self.example, self.smiles, self.upload.pane, self.ligand, self.around, stylesheets=css, css_classes=["form"], margin=0)

    async def choose_example(self, name: str) -> None:
        """Open a bundled example.

        Args:
            name: One of `studio.system.EXAMPLES`.

        Raises:
            PluginError: No such example.
        """
        chosen = example(name)
        await self._open(chosen.system, chosen.title)

    async def take_smiles(self, text: str) -> None:
        """Open a molecule given as SMILES, in the surroundings chosen.

        Args:
            text: The SMILES.

        Raises:
            StructureError: Not a molecule; nothing changes.
        """
        await asyncio.to_thread(chem.parse_smiles, text)
        await self._open(System(source=FromSmiles(smiles=text.strip()), surroundings=SURROUNDINGS[self.around.value]), text.strip())

    async def take_file(self, name: str, data: bytes) -> None:
        """Keep an uploaded file and open what is in it; the worker reads it.

        Args:
            name: As the browser gave it.
            data: Its bytes.

        Raises:
            StructureError: Empty, or too large.
        """
        if not data:
            raise StructureError(f"'{safe_name(name)}' is empty. Expected a molecule.")
        if len(data) > MAX_MEGABYTES * 1e6:
            raise StructureError(too_large(name, len(data) / 1e6))
        self._files += 1
        path = self.folder / str(self._files) / safe_name(name)
        await asyncio.to_thread(_keep, path, data)
        source = FromFile(path=str(path), ligand_smiles=(self.ligand.value or "").strip() or None)
        await self._open(System(source=source, surroundings=SURROUNDINGS[self.around.value]), safe_name(name))

    def sync(self) -> None:
        """Show what is open: the example's title, or that it is the user's own molecule."""
        if self.store.recipe is None:
            return
        system = self.store.recipe.system
        name = next((name for name, known in EXAMPLES.items() if known.system == system), "")
        options = {known.title: key for key, known in EXAMPLES.items()} | ({} if name else {OWN: ""})
        self._quiet = True
        self.example.param.update(options=options, value=name)
        self._quiet = False

    async def _open(self, system: System, title: str) -> None:
        choice = Choice(fitting(system, self.view.choice.view))
        await self.store.open(choice.recipe(system, self.store.temperature), title)

    def _on_example(self, event: Event) -> None:
        if not self._quiet and event.new:
            self.guard.start(self.choose_example(event.new))

    def _on_smiles(self, event: Event) -> None:
        if event.new.strip():
            self.guard.start(self.take_smiles(event.new))


class ViewForm:
    """How it is seen: resolution, potential, temperature, time step.

    Args:
        store: Takes the recipes.
        guard: Takes what goes wrong.
        cards: The potentials there are.
        view: How the first system is seen.
        css: Stylesheets of the widgets.
    """

    def __init__(self, store: Store, guard: Guard, cards: dict[str, Card], view: View, css: list[str]) -> None:
        self.store, self.guard, self.choice = store, guard, Choice(view)
        self._quiet_depth = 0
        looks: dict[str, Any] = {"stylesheets": css, "margin": 0, "sizing_mode": "stretch_width"}
        self.resolution = pn.widgets.RadioBoxGroup(label="Resolution", options=self._levels(), value=view.resolution, **looks)
        self.potential = pn.widgets.Select(label="Potential", options={card.title: name for name, card in cards.items()}, value=view.potential, **looks)
        self.slider = pn.widgets.FloatSlider(
            label="Temperature, K", bar_color="#14b8a6", start=10.0, end=HOTTEST, step=5.0, value=store.temperature, show_value=False, tooltips=False, **looks
        )
        self.kelvin = pn.widgets.FloatInput(label="Temperature, K", value=store.temperature, step=5.0, format="0.[0]", **looks)
        self.timestep = pn.widgets.FloatInput(label="Time step, fs", value=TIMESTEPS[view.resolution], step=0.5, format="0.[00]", **looks)
        self.resolution.param.watch(self._on_resolution, "value")
        self.potential.param.watch(self._on_potential, "value")
        self.timestep.param.watch(self._on_timestep, "value")
        self.slider.param.watch(self._on_temperature, "value")
        self.kelvin.param.watch(self._on_temperature, "value")
        store.param.watch(lambda _event: self.sync(), ["recipe", "temperature"])

    def sync(self) -> None:
        """Show what is, whatever was wished."""
        recipe = self.store.recipe
        self.sync_temperature()
        with self._quietly():
            if recipe is not None:
                self.choice = Choice(recipe.view, recipe.timestep)
                self.resolution.param.update(options=self._levels(), value=recipe.view.resolution)
                self.potential.param.update(value=recipe.view.potential, disabled=recipe.view.resolution == "mm")
                self.timestep.value = recipe.timestep or TIMESTEPS[recipe.view.resolution]

    async def choose(self, choice: Choice) -> None:
        """See the present system in another way.

        Args:
            choice: The way.

        Raises:
            SettingsError: The time step is out of range; nothing changes.
        """
        now = self.store.recipe
        if now is None:
            self.choice = choice
            return
        try:
            recipe = choice.recipe(now.system, self.store.temperature)
        except SettingsError:
            self.sync()
            raise
        self.choice = choice
        if recipe != now or self.store.pending is not None:
            await self.store.open(recipe)

    def set_temperature(self, kelvin: float) -> None:
        """Drive the thermostat to another temperature.

        Args:
            kelvin: The temperature.

        Raises:
            SettingsError: Not between 1 and 1500 K; nothing changes.
        """
        try:
            self.store.set_temperature(kelvin)
        finally:
            self.sync_temperature()

    def sync_temperature(self) -> None:
        """Show the temperature that is."""
        with self._quietly():
            self.kelvin.value = self.store.temperature
            self.slider.value = min(max(self.store.temperature, self.slider.start), HOTTEST)

    def _levels(self) -> dict[str, Resolution]:
        """What each resolution is called here and now: how many atoms it has, how fast it went."""
        return {self._level(resolution): resolution for resolution in RESOLUTIONS}

    def _level(self, resolution: Resolution) -> str:
        atoms, network, speed = self.store.sizes.get(resolution), self.store.sizes.get("nnp", 0), self.store.speeds.get(resolution)
        shared = f"{network:,} + {atoms - network:,} atoms" if atoms and resolution == "nnp/mm" else f"{atoms:,} atoms" if atoms else ""
        parts = [RESOLUTIONS[resolution], shared, f"{speed:,.0f}/s" if speed else ""]
        return " · ".join(filter(None, parts))

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Widgets set inside are news from the store, not wishes of the user."""
        self._quiet_depth += 1
        try:
            yield
        finally:
            self._quiet_depth -= 1

    def _wish(self, choice: Choice) -> None:
        if not self._quiet_depth:
            self.guard.start(self.choose(choice))

    def _on_resolution(self, event: Event) -> None:
        self._wish(Choice(self.choice.view.model_copy(update={"resolution": event.new})))

    def _on_potential(self, event: Event) -> None:
        self._wish(Choice(self.choice.view.model_copy(update={"potential": event.new}), self.choice.timestep))

    def _on_timestep(self, event: Event) -> None:
        self._wish(Choice(self.choice.view, event.new))

    def _on_temperature(self, event: Event) -> None:
        if not self._quiet_depth:
            with self.guard:
                self.set_temperature(event.new)


def too_large(name: str, megabytes: float) -> str:
    """The sentence for a file beyond the limit.

    Args:
        name: As the browser gave it.
        megabytes: Its size.
    """
    return f"'{safe_name(name)}' has {megabytes:.0f} MB; expected at most {MAX_MEGABYTES:g} MB. Keep only the molecules that you need."


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
