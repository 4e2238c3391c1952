"""Forms: what the user fills in becomes a recipe, checked by its own settings before anything runs.

Knows the settings of systems, views and dynamics, and the store that takes recipes; must not know how they are simulated.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

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


class Upload(JSComponent):
    """A file field; `file` is what came last: its name and its bytes."""

    label = param.String(default="Open a file", doc="What it is for.")
    hint = param.String(default="", doc="What is welcome.")
    accept = param.String(default=ENDINGS, doc="Endings, separated by commas.")
    megabytes = param.Number(default=MAX_MEGABYTES, doc="Larger files do not travel.")
    file = param.Tuple(default=("", b""), length=2, doc="Name and bytes.")
    too_large = param.Tuple(default=("", 0.0), length=2, doc="Name and size, MB, of a file that was refused.")

    _esm = Path(__file__).parent / "static" / "upload.js"
    _rename = {"file": None, "too_large": None}  # noqa: RUF012 - Panel's own spelling

    def __init__(self, css: list[str], **params: Any) -> None:
        super().__init__(stylesheets=css, margin=0, sizing_mode="stretch_width", **params)
        self._pieces: list[bytes] = []

    def _handle_msg(self, data: Any) -> None:
        match data:
            case {"name": str(name), "refused": size}:
                self.too_large = (name, float(size))
            case {"name": str(name), "index": int(index), "total": int(total), "data": piece}:
                self._pieces = [*self._pieces[:index], bytes(piece)]
                if sum(map(len, self._pieces)) > self.megabytes * 1e6:
                    self._pieces = []
                    self.too_large = (name, float(self.megabytes))
                elif index + 1 == total:
                    self.file, self._pieces = (name, b"".join(self._pieces)), []
                    self.param.trigger("file")


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
    """`view`, or the nearest one that a system allows: a small molecule by itself has nothing left for MM.

    Args:
        system: What is seen.
        view: How the user saw the last one.
    """
    alone = isinstance(system.surroundings, Vacuum | Implicit) and isinstance(system.source, FromSmiles)
    return view.model_copy(update={"resolution": "nnp"}) if alone and view.resolution == "nnp/mm" else view


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
        self.example = pn.widgets.Select(name="Example", options={e.title: name for name, e in EXAMPLES.items()}, **looks)
        self.smiles = pn.widgets.TextInput(name="SMILES", placeholder="CC(=O)Nc1ccc(O)cc1, then Enter", **looks)
        self.ligand = pn.widgets.TextInput(name="SMILES of the ligand in a PDB file", placeholder="gives its bond orders", **looks)
        self.around = pn.widgets.Select(name="Around your own molecule", options=list(SURROUNDINGS), **looks)
        self.upload = Upload(css, hint=f"SDF, PDB or mmCIF, up to {MAX_MEGABYTES:g} MB")
        self.example.param.watch(self._on_example, "value")
        self.smiles.param.watch(self._on_smiles, "value")
        self.upload.param.watch(self._on_file, "file")
        self.upload.param.watch(self._on_too_large, "too_large")
        store.param.watch(lambda _event: self.sync(), "recipe")
        self.panel = pn.Column(self.example, self.smiles, self.upload, self.ligand, self.around, stylesheets=css, css_classes=["form"], margin=0)

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
        source = FromFile(path=str(path), ligand_smiles=self.ligand.value.strip() or None)
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

    def _on_example(self, event: Any) -> None:
        if not self._quiet and event.new:
            self.guard.start(self.choose_example(event.new))

    def _on_smiles(self, event: Any) -> None:
        if event.new.strip():
            self.guard.start(self.take_smiles(event.new))

    def _on_file(self, event: Any) -> None:
        self.guard.start(self.take_file(*event.new))

    def _on_too_large(self, event: Any) -> None:
        self.store.refuse(too_large(*event.new))


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
        self.resolution = pn.widgets.RadioBoxGroup(name="Resolution", options=self._levels(), value=view.resolution, **looks)
        self.potential = pn.widgets.Select(name="Potential", options={card.title: name for name, card in cards.items()}, value=view.potential, **looks)
        self.slider = pn.widgets.FloatSlider(
            name="Temperature, K", start=10.0, end=HOTTEST, step=5.0, value=store.temperature, show_value=False, tooltips=False, **looks
        )
        self.kelvin = pn.widgets.FloatInput(name="Temperature, K", value=store.temperature, step=5.0, format="0.[0]", **looks)
        self.timestep = pn.widgets.FloatInput(name="Time step, fs", value=TIMESTEPS[view.resolution], step=0.5, format="0.[00]", **looks)
        for widget, react in ((self.resolution, self._on_resolution), (self.potential, self._on_potential), (self.timestep, self._on_timestep)):
            widget.param.watch(react, "value")
        for widget in (self.slider, self.kelvin):
            widget.param.watch(self._on_temperature, "value")
        store.param.watch(lambda _event: self.sync(), ["recipe", "temperature"])

    def sync(self) -> None:
        """Show what is, whatever was wished."""
        recipe = self.store.recipe
        with self._quietly():
            self.kelvin.value = self.store.temperature
            self.slider.value = min(max(self.store.temperature, self.slider.start), HOTTEST)
            if recipe is not None:
                self.choice = Choice(recipe.view, recipe.timestep)
                self.resolution.param.update(options=self._levels(), value=recipe.view.resolution)
                self.potential.value = recipe.view.potential
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
        atoms, speed = self.store.sizes.get(resolution), self.store.speeds.get(resolution)
        parts = [RESOLUTIONS[resolution], f"{atoms:,} atoms" if atoms else "", f"{speed:,.0f} steps/s" if speed else ""]
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

    def _on_resolution(self, event: Any) -> None:
        self._wish(Choice(self.choice.view.model_copy(update={"resolution": event.new})))

    def _on_potential(self, event: Any) -> None:
        self._wish(Choice(self.choice.view.model_copy(update={"potential": event.new}), self.choice.timestep))

    def _on_timestep(self, event: Any) -> None:
        self._wish(Choice(self.choice.view, event.new))

    def _on_temperature(self, event: Any) -> None:
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
