"""Bead form: what beads feel - salt and folded domains of CALVADOS, the depth of a Go contact, the card of a learned model - beside the dial.

Another setting starts a run of its own from the beads of now. Knows the settings of bead models and the store; must not know
what they mean for forces.
"""

import html
from collections.abc import Callable

import panel as pn

from studio.coarse import shelf
from studio.coarse.calvados import Calvados, debye_length
from studio.coarse.go import GoModel
from studio.coarse.learned_beads import Learned
from studio.errors import RegionError, StudioError
from studio.hybrid.view import BeadModel
from studio.region import Region
from studio.region_text import parse, to_text
from studio.settings import validated
from studio.units import KJ_PER_KCAL
from widgets.desk import Desk, Part
from widgets.pieces import fold, looks
from widgets.words import bead_card_of

VERSIONS = {"2, disordered": 2, "3, folds too": 3}
DOMAINS = "Residues that springs hold in their native shape, several domains apart by semicolons: residue A:1-40; residue A:60-90."
ELSEWHERE = "Temperature is under Conditions; pH, which charges histidines, under System."


class BeadForm(Part):
    """Settings of the beads that are on. In a notebook: `await form.change(Calvados(salt=0.05))`.

    Args:
        desk: Shared with other parts; one of its own when left out.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__(desk)
        self._quiet = False
        field: Callable[..., pn.widgets.FloatInput] = pn.widgets.FloatInput
        self.version = pn.widgets.Select(label="CALVADOS version", options=VERSIONS, description="3 has other stickiness, and may hold domains.", **looks())
        self.salt = field(label="Salt, mol/l", start=0.001, end=5.0, step=0.05, format="0.[000]", description="Sodium chloride; screens charges.", **looks())
        self.domains = pn.widgets.TextInput(label="Folded domains", placeholder="residue A:1-40", description=DOMAINS, **looks())
        self.depth = field(
            label="Depth of a contact, kcal/mol", start=0.05, end=10.0, step=0.05, format="0.[00]",
            description="Of each native contact; proteins unfold near 440 K at 1.", **looks(),
        )  # fmt: skip
        self.hint = pn.pane.HTML("", **looks())
        pair = pn.Row(self.version, self.salt, **looks("pair"))
        self._calvados = pn.Column(pair, self.domains, self.hint, **looks("stack"))
        self.choice = pn.widgets.Select(label="Learned model", description="Those of your shelf that fit these residues and passed their gates.", **looks())
        self.card = pn.pane.HTML("", **looks())
        self._about = pn.Column(self.choice, fold("About this bead model", self.card), **looks("stack"))  # a card shows itself even when it is not to be seen
        self.panel = pn.Column(self._calvados, self.depth, self._about, visible=False, **looks("stack"))
        self._connect()
        self._follow()

    async def change(self, model: BeadModel) -> None:
        """Go on with another model of beads.

        Args:
            model: With its settings.
        """
        recipe = self.store.recipe
        if recipe is not None and recipe.view.resolution == "beads" and model != recipe.view.beads:
            self.desk.alert.dismiss()  # what was refused before
            await self.store.revise(recipe.model_copy(update={"view": recipe.view.model_copy(update={"beads": model})}))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        for widget in (self.version, self.salt, self.domains, self.depth, self.choice):
            widget.param.watch(self.guard.around(lambda _event: None if self._quiet else self.guard.start(self._wish())), "value")
        self.store.param.watch(self.guard.around(lambda _event: self._follow()), "recipe")

    async def _wish(self) -> None:
        """What the fields say; those that are refused go back to what is."""
        model = self._model
        try:
            if isinstance(model, Calvados):
                await self.change(self._calvados_of(model))
            elif isinstance(model, GoModel):
                await self.change(validated(GoModel, model.model_dump() | {"epsilon": (self.depth.value or 0.0) * KJ_PER_KCAL}))
            elif isinstance(model, Learned):
                await self.change(model.model_copy(update={"model": self.choice.value, "sha256": ""}))
        except StudioError:
            self._follow()
            raise

    @property
    def _model(self) -> BeadModel | None:
        """What is on, while beads are."""
        recipe = self.store.recipe
        return recipe.view.beads if recipe is not None and recipe.view.resolution == "beads" else None

    def _show_learned(self, model: Learned) -> None:
        """The learned model of the present beads and its card, or why there is none; others that fit can be chosen."""
        structure = self.store.structure
        if structure is None:
            return
        try:
            name, card = model.choose(structure)
        except StudioError as problem:  # its folder went meanwhile
            self.card.object = f'<p class="hint">{html.escape(str(problem))}</p>'
            return
        fitting = [other for other, its in shelf.fitting(structure).items() if its.passed or other == name]
        self.choice.param.update(options=fitting, value=name, visible=len(fitting) > 1)
        self.card.object = bead_card_of(card)

    def _calvados_of(self, model: Calvados) -> Calvados:
        version = int(self.version.value)
        text = (self.domains.value or "").strip() if version == 3 else ""
        try:
            domains = tuple(parse(part) for part in text.split(";") if part.strip())
        except RegionError as problem:
            raise RegionError(f"Folded domains: {problem}") from problem
        return validated(Calvados, {"of": model.of, "version": version, "salt": self.salt.value or 0.0, "domains": domains})

    def _follow(self) -> None:
        """Fields say what is."""
        model, recipe = self._model, self.store.recipe
        known = isinstance(model, Calvados | GoModel | Learned)
        self._quiet = True
        try:
            self.panel.visible, self._calvados.visible, self.depth.visible = known, isinstance(model, Calvados), isinstance(model, GoModel)
            self._about.visible = isinstance(model, Learned)
            if isinstance(model, Calvados) and recipe is not None:
                self.version.value, self.salt.value = model.version, model.salt
                self.domains.param.update(value="; ".join(map(_words, model.domains)), visible=model.version == 3 and not recipe.system.source.beads)
                reach = debye_length(recipe.temperature, model.salt)
                self.hint.object = f'<p class="hint">Charges reach about {reach:.2f} nm (Debye length at {recipe.temperature:g} K). {ELSEWHERE}</p>'
            elif isinstance(model, GoModel):
                self.depth.value = round(model.epsilon / KJ_PER_KCAL, 4)
            elif isinstance(model, Learned):
                self._show_learned(model)
        finally:
            self._quiet = False


def _words(region: Region) -> str:
    """A region as it is typed; one of a plug-in has no words."""
    try:
        return to_text(region)
    except RegionError:
        return ""
