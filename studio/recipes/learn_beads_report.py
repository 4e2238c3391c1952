"""Learn beads, report: what people see of a model that is learned - while it is, and when it was judged.

Reads the arrays of the result and moves nothing.
"""

from collections.abc import Iterable

import numpy as np

from studio.coarse.card import BeadCard
from studio.coarse.gates import Verdict
from studio.coarse.shape import turns
from studio.recipes.bead_maps import basin_bars, gates_table, loss_curves, surfaces
from studio.report import Bars, Chart, Curve, Curves, Group, Line, Report, Shape, Table
from studio.result import Result
from studio.structure import Structure
from studio.surface import RAMACHANDRAN

ROUNDS = ("labels", "held-out error (kJ/mol/nm)", "Jensen-Shannon divergence", "allowed")
FEW = 0.02
"""Share of the replicas that may leave physics before it is told first."""


def report(result: Result, molecule: Structure | None) -> Report:
    """What people see.

    Args:
        result: Finished, or so far.
        molecule: The beads.
    """
    seen = _Seen(result, molecule)
    charts = tuple(chart for chart in seen.charts() if chart is not None)
    shapes = (Shape("beads", seen.shown, shown=True),) if molecule is not None else ()
    return Report(seen.headline(), charts, molecule, shapes, warnings=tuple(dict.fromkeys((*seen.doubts(), *result.notes))))


class _Seen:
    """A result, by the names that people know."""

    def __init__(self, result: Result, molecule: Structure | None) -> None:
        self.result, self.arrays, self.values, self.molecule = result, result.arrays, result.values, molecule
        text, card = str(self.arrays["verdict"]), str(self.arrays["card"])
        self.verdict = Verdict.model_validate_json(text) if text else None
        self.card = BeadCard.model_validate_json(card) if card else None
        self.now = self.arrays["now_nm"]
        self.shown = self.now[0] if len(self.now) else np.asarray(molecule.positions) if molecule is not None else np.zeros((0, 3))
        controls = zip(self.arrays["control_names"].tolist(), self.arrays["controls"].tolist(), strict=True)
        self.controls = [(str(name), Verdict.model_validate_json(said)) for name, said in controls]
        self.temperature = float(self.values["temperature_K"])

    def headline(self) -> str:
        """The answer, or what is done now."""
        if self.card is None or self.verdict is None:
            return f"{self.result.provenance.get('stage', 'At work')}.{self._good()}"
        where = f"It is on the shelf as '{self.card.name}'" if self.card.passed else "It is kept here and is not offered on the dial"
        fooled = [name for name, verdict in self.controls if verdict.passed]
        said = f"The gates cannot be trusted: {' and '.join(fooled)} passed them, too." if fooled else self.verdict.sentence
        return f"{said}{self._good()} {where}."

    def _good(self) -> str:
        """How good the model is by now."""
        if self.verdict is None:
            return ""
        js, fes = self.verdict.gates[:2]
        both = (("divergence", js), ("surface error, kcal/mol,", fes))
        told = [f"{words} {gate.value:.3f} (at most {gate.limit:.3f})" for words, gate in both if gate.value is not None]
        return f" Beads against {self.values['reference_ns']:g} ns of all atoms: {'; '.join(told)}."

    def doubts(self) -> Iterable[str]:
        """What to know first."""
        copies, aside = self.values.get("replicas", 0.0), self.values.get("set_aside", 0.0)
        if aside and aside > FEW * copies:
            yield f"{aside:.0f} of {copies:.0f} replicas left physics and are not counted: the model does not hold its beads everywhere."
        floor, limit = self.values.get("reference_floor", 0.0), self.values.get("js_limit", np.inf)
        if floor > limit:
            yield (
                f"{self.values['reference_ns']:g} ns of all atoms are worth {self.values['reference_frames']:.0f} independent frames: two such trajectories "
                f"would be {floor:.2f} apart from the truth. A model that fails may be better than this comparison; ask for a longer one."
            )
        if self.card is None and self.verdict is not None:
            yield "The comparison grows while the study is at work: neither the model nor the trajectory of all atoms is finished."

    def charts(self) -> Iterable[Chart | None]:
        """The most important first."""
        yield from self._surfaces()
        if self.verdict is not None:
            yield gates_table(self.verdict)
        yield self._basins()
        if "losses" in self.arrays:
            yield loss_curves(self.arrays["losses"], self.arrays["held_out"])
        yield self._labels()
        yield self._rounds()
        yield self._controls()
        yield self._card()

    def _surfaces(self) -> Iterable[Chart | None]:
        for row, turn in enumerate(turns(self.molecule) if self.molecule is not None else ()):
            yield surfaces(self.arrays, row, turn, self.temperature)

    def _basins(self) -> Bars | None:
        model, atoms = (self.arrays.get(f"basins_{who}") for who in ("model", "atoms"))
        names = self.arrays["turn_names"].tolist()
        if not names or (model is None and atoms is None):
            return None
        worst = self.verdict.surfaces[0].name if self.verdict else names[0]
        row = names.index(worst) if worst in names else 0
        return basin_bars(None if atoms is None else atoms[row], None if model is None else model[row], [patch.name for patch in RAMACHANDRAN], names[row])

    def _labels(self) -> Curves | None:
        errors = self.arrays["label_errors_kj_mol_nm"]
        if not len(errors):
            return None
        x = tuple(float(k + 1) for k in range(len(errors)))
        mean = float(np.sqrt(np.mean(np.square(errors))))
        note = f"{len(errors)} of {self.values['labels_wanted']:.0f} labels: mean forces on the beads, by {self.result.provenance.get('forces', '')}."
        points = Curve("a label", x, tuple(errors.tolist()), style="points")
        return Curves("Labels", "label", "standard error of the force, kJ/mol/nm", (points,), lines=(Line(mean, "mean"),), note=note)

    def _rounds(self) -> Table | None:
        rounds = self.arrays["rounds"]
        if not len(rounds):
            return None
        rows = tuple(tuple(float(value) if np.isfinite(value) else None for value in row) for row in rounds.tolist())
        return Table("Rounds", ROUNDS, rows, note="Each round adds labels where the model goes and its networks disagree; compared with all atoms so far.")

    def _controls(self) -> Bars | None:
        if not self.controls or self.verdict is None:
            return None
        every = [("the model", self.verdict), *self.controls]
        labels = tuple(f"{name}: {'passes' if verdict.passed else 'fails'}" for name, verdict in every)
        js = [verdict.gates[0] for _, verdict in every]
        group = Group("divergence", tuple(gate.value for gate in js))
        note = "What knows nothing has to fail: a prior without network, and networks that learned forces dealt to other configurations."
        return Bars("Negative controls", "Jensen-Shannon divergence", labels, (group,), (Line(js[0].limit, "allowed"),), note=note)

    def _card(self) -> Table | None:
        if self.card is None:
            return None
        card = self.card
        error = "" if card.held_out_error is None else f"{card.held_out_error:.0f} kJ/mol/nm, of which {card.label_error or 0.0:.0f} are the labels' own"
        rank = "" if card.rank_correlation is None else f", rank correlation {card.rank_correlation:.2f}"
        rows = (
            ("name", card.name), ("of", card.molecule), ("beads", f"{len(card.beads)} ({card.scheme})"), ("forces", card.reference),
            ("labels", str(card.labels)), ("temperature", f"{card.temperature:g} K"), ("error of a force, held out", error),
            ("networks", f"{card.network.members}, {card.network.kind}"), ("their spread is multiplied by", f"{card.spread_factor:.1f}{rank}"),
            ("verdict", card.state), ("licence", card.licence), ("SHA-256 of the weights", card.weights_sha256),
        )  # fmt: skip
        return Table("Card", ("what", ""), rows)
