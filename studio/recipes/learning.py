"""Learning: the course of it - what is done one after the other, what is kept of it, and what can be told at any time.

What all atoms do, which the model has to agree with, runs beside everything else. Finished parts are files; a course that was
broken off goes on behind the last of them. Knows labels, models and gates; must not know the recipe, nor how it is shown.
"""

from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from studio.coarse import shelf
from studio.coarse.card import BeadCard, GateLine
from studio.coarse.gates import FEWEST, Verdict, judge
from studio.coarse.held import shares
from studio.coarse.labels import Label, Labels
from studio.coarse.mapping import atomic_masses
from studio.coarse.mean_force import configurations, mean_forces, optimised_map
from studio.coarse.training import Epoch
from studio.errors import SimulationError, StoppedError, StudioError
from studio.files import storage
from studio.frame import Frame
from studio.parts import Part, keep, kept, key_of
from studio.progress import Progress
from studio.recipes.acquisition import Ground, drawn, evenly, pulled
from studio.recipes.bead_maps import curves_of, keep_reference, known_to, maps_of, numbers_of
from studio.recipes.lasting import keep_structure
from studio.recipes.learning_plan import Plan, Told
from studio.recipes.let_go import Halt, Trial, let_go, without_network
from studio.recipes.unbiased import Unbiased
from studio.recipes.work import Watch
from studio.result import Result, versions
from studio.so_far import SoFar
from studio.structure import Floats, Structure

if TYPE_CHECKING:
    from studio.coarse.learned import LearnedModel

MODEL, LABELS = "model", "labels.npz"
PAUSE = 0.1
"""Between two looks at what somebody else does, s."""
SHARES = {"configurations": 0.2, "labels": 0.45, "learning": 0.1, "controls": 0.1, "comparison": 0.15}
"""Of the whole work, guessed."""
CONTROL = {"replicas": 128, "epochs": 100}
"""Negative controls are smaller: they have to fail, and by far."""
SHOWN = 2000
"""Frames of the model whose expected error is asked for in active learning."""


class Course:
    """It, from nothing to a model on the shelf.

    Args:
        plan: What is learned.
        atoms: The prepared structure.
        folder: Where finished parts are kept and found.
        watch: Is told how far it is, and shown beads.
    """

    def __init__(self, plan: Plan, atoms: Structure, folder: Path | None, watch: Watch) -> None:
        self.plan, self.atoms, self.folder, self._watch = plan, atoms, folder, watch
        self.beads, self.told = plan.mapping.beads, Told()
        self._so_far, self._frame = SoFar(folder, plan.recipe), self._seen(plan.mapping.beads.positions)
        keep_structure(self.beads, folder)
        self.unbiased = Unbiased(plan.dynamics, atoms, plan.mapping, plan.reference_ns, folder)

        self._pool, self._far = np.zeros((0, len(atoms), 3)), 0.0

    def learn(self) -> Result:
        """Do all of it.

        Raises:
            StoppedError: Somebody wanted that.
            StudioError: It cannot be done.
        """
        plan = self.plan
        try:
            self.unbiased.begin()
            pool, bead_map, cold = self._configurations()
            self._pool = pool
            chosen = evenly(plan.mapping.positions(pool), self.beads, plan.labels, plan.sampling.seed)
            labels = self._labels(pool[chosen], bead_map, 0)
            model = self._model(labels, cold, 0)
            for number, more in enumerate(shares(plan.asked, plan.rounds) if plan.rounds else (), 1):
                wanted = self._wanted(model, pool, more, number)
                if len(wanted):
                    labels = labels.joined(self._labels(wanted, bead_map, number))
                    model = self._model(labels, cold, number)
            controls = self._controls(labels, cold, model)
            self._compare(controls)
            self._deliver(model, labels)
        finally:
            self.unbiased.close()
        return self.result()

    # -- stage by stage --------------------------------------------------------------------------------------------------

    def _configurations(self) -> tuple[Floats, Floats, Floats]:
        """Atoms, the force map, and beads at the temperature of the model."""
        plan, tell = self.plan, self._part(0.0, SHARES["configurations"])
        atoms, forces = configurations(plan.system, plan.view, self.atoms, plan.mapping, plan.sampling, tell=tell, folder=self.folder)
        order = np.random.default_rng(plan.sampling.seed).permutation(len(atoms))
        cold = order < shares(len(atoms), len(plan.sampling.temperatures))[0]
        return atoms, optimised_map(self.atoms, plan.mapping, forces), plan.mapping.positions(atoms[cold])

    def _labels(self, atoms: Floats, bead_map: Floats, number: int) -> Labels:
        plan, folder = self.plan, self._subfolder(f"labels-{number}")
        all_of = plan.labels + plan.asked
        before = SHARES["configurations"] + SHARES["labels"] * len(self.told.errors) / all_of
        tell = self._timed(self._part(before, before + SHARES["labels"] * len(atoms) / all_of))
        found: dict[int, Label] = {}
        ground = (plan.system, plan.view, self.atoms, plan.mapping, plan.sampling)
        for index, label in mean_forces(*ground, atoms=atoms, bead_map=bead_map, tell=tell, folder=folder):
            found[index] = label
            self.told.errors.append(float(np.sqrt((label.errors**2).mean())))
            self._frame = self._seen(label.positions)
        labels = Labels.of((found[index] for index in sorted(found)), plan.sampling.temperature)
        if len(found) < len(atoms):
            self.told.notes.append(f"{len(atoms) - len(found)} configurations left physics and have no label.")
        return labels

    def _model(self, labels: Labels, cold: Floats, number: int) -> "LearnedModel":
        """Learn, let it go, and write down how good it is by now."""
        end = SHARES["configurations"] + SHARES["labels"] * (1.0 if number == self.plan.rounds else 0.8)
        tell = self._part(end, end + SHARES["learning"] * 0.8)
        model = self._trained(labels, cold, number, lambda f, words: tell(0.4 * f, words))
        frames, self.told.set_aside = self._gone(model, self.plan.trial, f"replicas-{number}", lambda f, words: tell(0.4 + 0.6 * f, words))
        self.told.frames = frames
        self.told.verdict = self._judged(frames)
        js = self.told.verdict.gates[0] if self.told.verdict else None
        missed = model.card.held_out_error
        value = (len(labels), np.nan if missed is None else missed, np.nan if js is None or js.value is None else js.value, np.nan if js is None else js.limit)
        self.told.rounds.append(value)
        return model

    def _trained(self, labels: Labels, cold: Floats, number: int, tell: Progress) -> "LearnedModel":
        from studio.coarse.learned import LearnedModel
        from studio.coarse.training import fit

        plan, self.told.curves = self.plan, {}
        key = key_of(plan.training.model_dump_json(), *(str(array.tobytes().hex()) for array in (labels.positions, labels.forces, labels.errors, cold)))
        path, place = (self.folder / f"learned-{number}.npz", self.folder / f"{MODEL}-{number}") if self.folder else (None, None)
        known = kept(path, key)
        if known is not None and place is not None:
            self.told.curves = {(int(m), int(e)): (loss, held) for m, e, loss, held in known.arrays["curves"].tolist()}
            return LearnedModel.load(place)

        def on_epoch(epoch: Epoch) -> bool:
            self.told.curves[epoch.member, epoch.epoch] = (epoch.loss, epoch.held_out)
            try:
                tell(epoch.epoch / plan.training.epochs, f"Learning from {len(labels)} labels, round {epoch.epoch} of {plan.training.epochs}")
            except StoppedError:
                return False
            return True

        masses = atomic_masses(self.atoms)[plan.mapping.sites]
        model = fit(labels, self.beads, masses, plan.training, on_epoch, scheme=plan.scheme, cold=cold)
        self._ask(0.0, "")
        if place is not None:
            model = model.save(place)
            curves = np.array([(*where, *values) for where, values in self.told.curves.items()], dtype=np.float64).reshape(-1, 4)
            keep(path, key, Part({"curves": curves}, {}))
        return model

    def _gone(self, model: "LearnedModel", trial: Trial, what: str, tell: Progress, *, shown: bool = True) -> tuple[Floats, int]:
        """Frames of the replicas, copy after copy, and how many were set aside; seen on the way where they are those of the model."""
        path, halted = (self.folder / f"{what}.npz", self.folder / f"{what}-halted.npz") if self.folder else (None, None)
        key = key_of(model.key, trial.model_dump_json(), str(self.plan.sampling.seed))
        known = kept(path, key)
        if known is not None:
            there, aside = known.arrays["frames"].astype(np.float64), int(known.words["set_aside"])
            if shown:
                self.told.now = there.reshape(trial.replicas - aside, -1, *there.shape[1:])[:, -1]
            return there, aside

        def on_look(fraction: float, now: Floats, frames: Floats) -> None:
            if shown:
                self.told.now, self.told.frames = now, frames
                self._frame = self._seen(now[0])
            tell(fraction, f"{trial.replicas} replicas of the model, {fraction:.0%} of {trial.steps:,} steps")

        start = self._starts(trial.replicas)
        sampling = self.plan.sampling
        frames, aside = let_go(model, start, trial, on_look, temperature=sampling.temperature, seed=sampling.seed, halt=Halt(halted, key))
        keep(path, key, Part({"frames": frames.astype(np.float32)}, {"set_aside": aside}))
        if halted is not None:
            with storage(halted.parent):
                halted.unlink(missing_ok=True)
        return frames, aside

    def _starts(self, count: int) -> Floats:
        """Configurations of all temperatures, so that no basin is empty at the start because nobody began there."""
        beads = self.plan.mapping.positions(self._pool)
        return beads[np.random.default_rng(self.plan.sampling.seed + 1).integers(len(beads), size=count)]

    def _wanted(self, model: "LearnedModel", pool: Floats, count: int, number: int) -> Floats:
        """Atoms of configurations that the model visits and is least sure of, (m, n, 3)."""
        import torch

        plan, path = self.plan, self.folder / f"wanted-{number}.npz" if self.folder else None
        known = kept(path, key := key_of(model.key, str(count)))
        if known is None:
            frames = self.told.frames
            some = frames[np.random.default_rng(plan.sampling.seed + number).choice(len(frames), size=min(SHOWN, len(frames)), replace=False)]
            chosen = drawn(model.spread(torch.as_tensor(some, dtype=torch.float32)).numpy(), count, plan.sampling.seed + number)
            self.told.stage = f"Atoms are laid where the model is least sure, round {number}"
            atoms, away = pulled(Ground(plan.system, plan.view, self.atoms, plan.mapping, plan.sampling), pool, some[chosen], self._check)
            known = Part({"atoms": atoms, "away": away}, {})
            keep(path, key, known)
        return np.asarray(known.arrays["atoms"])

    def _compare(self, controls: list[tuple[str, Floats]]) -> None:
        """Wait for the trajectory of all atoms, and judge the model and what knows nothing."""
        tell = self._part(1.0 - SHARES["comparison"], 1.0)
        while self.unbiased.fraction < 1.0:
            self.unbiased.begin()
            tell(self.unbiased.fraction, f"All atoms for comparison: {self._compared}")
            sleep(PAUSE)
        self.told.verdict = self._judged(self.told.frames)
        if self.told.verdict is None:
            raise StudioError(f"The trajectory of all atoms has {len(self.unbiased.frames)} frames; at least {FEWEST} are needed. Ask for a longer comparison.")
        for title, frames in controls:
            tell(1.0, f"Negative control is judged: {title}")
            self.told.controls.append((title, judge(frames, self.unbiased.frames, self.beads, self.plan.sampling.temperature)))

    def _controls(self, labels: Labels, cold: Floats, model: "LearnedModel") -> list[tuple[str, Floats]]:
        """Frames of models that know nothing, while all atoms still move: they have to fail the same gates."""
        trial = self.plan.trial.model_copy(update={"replicas": min(CONTROL["replicas"], self.plan.trial.replicas)})
        begin, half, found = 1.0 - SHARES["comparison"] - SHARES["controls"], 0.5 * SHARES["controls"], []
        self._ask(begin, "Negative control: forces dealt to other configurations")
        controls = {"prior only": without_network(model), "shuffled labels": self._shuffled(labels, cold, model)}
        for number, (title, control) in enumerate(controls.items()):
            said = self._beside(self._part(begin + half * number, begin + half * (number + 1)), f"Negative control: {title}")
            try:
                frames, _aside = self._gone(control, trial, f"control-{number}", said, shown=False)
            except SimulationError as problem:
                self.told.notes.append(f"Negative control, {title}: {problem}")
            else:
                found.append((title, frames))
        return found

    def _shuffled(self, labels: Labels, cold: Floats, model: "LearnedModel") -> "LearnedModel":
        """Learned from forces that were dealt to other configurations."""
        from studio.coarse.training import fit

        order = np.random.default_rng(self.plan.sampling.seed).permutation(len(labels))
        dealt = replace(labels, forces=labels.forces[order], errors=labels.errors[order])
        settings = self.plan.training.model_copy(update={"members": 1, "epochs": min(CONTROL["epochs"], self.plan.training.epochs)})
        return fit(dealt, self.beads, np.array(model.card.masses), settings, self._quiet, scheme=self.plan.scheme, cold=cold)

    def _deliver(self, model: "LearnedModel", labels: Labels) -> None:
        """Write the card, and put the model on the shelf if it passed and what knows nothing did not."""
        from studio.coarse.learned import LearnedModel

        plan, verdict = self.plan, self.told.verdict
        if verdict is None:
            return
        fooled = [title for title, control in self.told.controls if control.passed]
        gates = [GateLine.model_validate(gate) for gate in verdict.gates]
        gates += [GateLine(name=f"negative control fails: {title}", value=None, limit=None, passed=False) for title in fooled]
        about = {"name": plan.name, "title": f"{plan.title}, {len(self.beads)} beads", "molecule": plan.title, "reference": plan.by, "gates": tuple(gates)}
        told = LearnedModel(model.card.model_copy(update=about), model.prior, model.weights)
        if self.folder is not None:
            told = told.save(self.folder / MODEL)
            labels.save(self.folder / MODEL / LABELS)
            keep_reference(self.folder / MODEL, self.unbiased.frames, plan.sampling.temperature)
        self.told.card = told.card.model_dump_json()
        if not told.card.passed:
            self.told.notes.append("The model is kept in this study and is not offered on the dial: it did not pass.")
        elif self.folder is not None:
            self._shelve(self.folder / MODEL)

    def _shelve(self, folder: Path) -> None:
        """Offer the model on the dial; what keeps it from the shelf does not take the course away."""
        name = self.plan.name
        before = (shelf.own_folder() / name).exists()
        try:
            shelf.put(folder)
        except StudioError as problem:
            self.told.notes.append(f"The model passed, but could not be put on the shelf, and is kept in this study only: {problem}")
        else:
            gone = " It took the place of an earlier one of that name." if before else ""
            self.told.notes.append(f"The model is on the shelf as '{name}', and the dial offers it for this peptide.{gone}")

    # -- what can be told ------------------------------------------------------------------------------------------------

    def result(self) -> Result:
        """What is known by now."""
        told, plan = self.told, self.plan
        reference = self.unbiased.frames
        values = {"labels": float(len(told.errors)), "labels_wanted": float(plan.labels + plan.asked)}
        values |= {"reference_ns": self.unbiased.nanoseconds, "reference_wanted_ns": plan.reference_ns, "temperature_K": plan.sampling.temperature}
        values |= {"replicas": float(len(told.now)), "set_aside": float(told.set_aside)}
        if told.errors:
            values["label_error_kj_mol_nm"] = float(np.sqrt(np.mean(np.square(told.errors))))
        final = told.verdict if told.card or told.controls else None
        verdict = final or (self._judged(told.frames) if len(told.frames) else None) or told.verdict
        values |= known_to(reference, self.beads)
        values |= numbers_of(verdict) | ({"passed": float(BeadCard.model_validate_json(told.card).passed)} if told.card else {})
        arrays: dict[str, NDArray[np.generic]] = {
            "label_errors_kj_mol_nm": np.array(told.errors), "now_nm": told.now, "rounds": np.array(told.rounds, dtype=np.float64).reshape(-1, 4),
            "verdict": np.array(verdict.model_dump_json() if verdict else ""),
            "card": np.array(told.card), "control_names": np.array([title for title, _ in told.controls], dtype=np.str_),
            "controls": np.array([control.model_dump_json() for _, control in told.controls], dtype=np.str_),
        }  # fmt: skip
        arrays |= curves_of(told.curves) | maps_of(told.frames, reference, self.beads, plan.sampling.temperature)
        provenance = versions() | {"stage": told.stage, "forces": plan.by, "comparison": self.unbiased.how}
        return Result({}, values, arrays, provenance, (*self.atoms.notes, *told.notes))

    @property
    def _compared(self) -> str:
        """How much there is of what the model is compared with, in words."""
        return f"{self.unbiased.nanoseconds:.2f} of {self.plan.reference_ns:g} ns"

    def _judged(self, frames: Floats) -> Verdict | None:
        """How the model compares with what there is of the reference; none while there is too little."""
        reference = self.unbiased.frames
        if min(len(frames), len(reference)) < FEWEST:
            return None
        return judge(frames, reference, self.beads, self.plan.sampling.temperature)

    # -- being asked -----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        self._ask(-1.0, self.told.stage)

    def _quiet(self, _epoch: Epoch) -> None:
        self._check()

    def _ask(self, fraction: float, sentence: str) -> None:
        """Tell, and end the work where somebody wants that."""
        self._far = max(self._far, fraction)
        self.told.stage = sentence or self.told.stage
        self._watch.frame = self._frame
        self._watch(self._far, self.told.stage)
        self.unbiased.look()
        self._so_far.tell(self.result)

    def _part(self, begin: float, end: float) -> Progress:
        return lambda fraction, sentence: self._ask(begin + (end - begin) * fraction, sentence)

    def _beside(self, tell: Progress, sentence: str) -> Progress:
        """The same in other words, and how far all atoms are that move meanwhile."""

        def said(fraction: float, _sentence: str) -> None:
            tell(fraction, sentence if self.unbiased.fraction >= 1.0 else f"{sentence}; all atoms meanwhile: {self._compared}")

        return said

    @staticmethod
    def _timed(tell: Progress) -> Progress:
        """The same with how long this part will take."""
        begun: list[tuple[float, float]] = []

        def said(fraction: float, sentence: str) -> None:
            begun[:] = begun or [(fraction, monotonic())]
            done, passed = fraction - begun[0][0], monotonic() - begun[0][1]
            left = f", about {max(1, round((1.0 - fraction) / done * passed / 60.0))} min left for them" if done > 0.02 and fraction < 1.0 else ""
            tell(fraction, sentence + left)

        return said

    def _seen(self, positions: Floats) -> Frame:
        return Frame(0, 0.0, np.asarray(positions, dtype=np.float32), energies={"potential": 0.0, "kinetic": 0.0})

    def _subfolder(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        with storage(self.folder):
            (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name
