"""Around: what is put around the molecule - nothing, water in one form or another - with the few numbers that belong to it.

Knows the settings of surroundings and the units that people read; must not know how water is placed.
"""

from typing import Any

import panel as pn

from studio.settings import validated
from studio.system import Implicit, Pocket, Surroundings, Vacuum, WaterBox
from studio.units import NM_PER_ANGSTROM
from widgets.desk import css

KINDS: dict[str, str] = {
    "vacuum": "Nothing (vacuum)",
    "implicit": "Continuum water",
    "water_box": "Box of water",
    "pocket": "Pocket and droplet",
}
"""What people call them."""
HINTS: dict[str, str] = {
    "vacuum": "The molecule alone: the fastest.",
    "implicit": "Generalised Born: water without waters; for molecules of up to some hundred atoms.",
    "water_box": "Periodic, neutral; ions beyond those that neutralise are NaCl.",
    "pocket": "The ligand, what is near it and a droplet move; a frozen shell of the protein holds them.",
}
ALONE = ("vacuum", "implicit", "water_box")
"""What fits a molecule by itself."""
ALL = ("pocket", "water_box", "implicit", "vacuum")
"""What fits a protein with a ligand, the best first."""


class Around:
    """The form for surroundings."""

    def __init__(self) -> None:
        looks: dict[str, Any] = {"stylesheets": css("builder"), "margin": 0, "sizing_mode": "stretch_width"}
        self.kind = pn.widgets.Select(label="Around it", options=self._options(ALONE), value="vacuum", description="What is put around the molecule.", **looks)
        self.hint = pn.pane.HTML("", **looks)
        self.padding = _number("Padding, \u00c5", 8.0, 1.0, "Least distance between the molecule and a face of the box.")
        self.ions = _number("Ions, mol/l", 0.0, 0.05, "Sodium chloride beyond what makes the box neutral; blood has 0.15.")
        self.mobile = _number("Moves within, \u00c5", 5.0, 0.5, "Residues this close to the ligand move.")
        self.droplet = _number("Droplet, \u00c5", 5.0, 0.5, "How far the water reaches beyond the ligand.")
        self._box = pn.Row(self.padding, self.ions, css_classes=["pair"], **looks)
        self._pocket = pn.Row(self.mobile, self.droplet, css_classes=["pair"], **looks)
        self.panel = pn.Column(self.kind, self.hint, self._box, self._pocket, css_classes=["stack"], **looks)
        self.kind.param.watch(lambda _event: self._unfold(), "value")
        self._base: Surroundings = Vacuum()
        self._chosen: dict[tuple[str, ...], str] = {}
        self._unfold()

    @property
    def value(self) -> Surroundings:
        """What the form says.

        Raises:
            SettingsError: A number is out of range.
        """
        kind = self.kind.value
        fields: dict[str, dict[str, Any]] = {
            "water_box": {"padding_nm": _nm(self.padding.value), "ionic_strength": self.ions.value},
            "pocket": {"mobile_nm": _nm(self.mobile.value), "droplet_nm": _nm(self.droplet.value)},
        }
        kept = self._base.model_dump() if self._base.kind == kind else {"kind": kind}
        return validated(Surroundings, {**kept, **fields.get(kind, {})})  # type: ignore[arg-type]

    @value.setter
    def value(self, surroundings: Surroundings) -> None:
        self._base = surroundings
        if surroundings.kind not in self.kind.options.values():
            self.kind.options = self._options(ALL)
        self.kind.value = surroundings.kind
        if isinstance(surroundings, WaterBox):
            self.padding.value, self.ions.value = _angstrom(surroundings.padding_nm), surroundings.ionic_strength
        elif isinstance(surroundings, Pocket):
            self.mobile.value, self.droplet.value = _angstrom(surroundings.mobile_nm), _angstrom(surroundings.droplet_nm)

    @property
    def bare(self) -> bool:
        """No water is drawn around it."""
        return isinstance(self.value, Vacuum | Implicit)

    def offer(self, kinds: tuple[str, ...]) -> None:
        """Offer what fits a source; what was chosen for such a source before is chosen again.

        Args:
            kinds: Of surroundings, the first one by itself.
        """
        options = self._options(kinds)
        if self.kind.options == options:
            return
        self._chosen[tuple(self.kind.options.values())] = self.kind.value
        self.kind.param.update(options=options, value=self._chosen.get(kinds, kinds[0]))

    @staticmethod
    def _options(kinds: tuple[str, ...]) -> dict[str, str]:
        return {KINDS[kind]: kind for kind in kinds}

    def _unfold(self) -> None:
        self.hint.object = f'<p class="hint">{HINTS[self.kind.value]}</p>'
        self._box.visible, self._pocket.visible = self.kind.value == "water_box", self.kind.value == "pocket"


def _number(label: str, value: float, step: float, help_text: str) -> pn.widgets.FloatInput:
    return pn.widgets.FloatInput(
        label=label, value=value, step=step, description=help_text, format="0.[00]", stylesheets=css("builder"), margin=0, sizing_mode="stretch_width"
    )


def _nm(angstrom: float | None) -> float | None:
    """Nanometres, without the dust of binary fractions; an empty field stays empty, and is refused in words."""
    return None if angstrom is None else round(angstrom * NM_PER_ANGSTROM, 6)


def _angstrom(nanometres: float) -> float:
    return round(nanometres / NM_PER_ANGSTROM, 6)
