"""Landscape: where a recorded run goes - maps as free energies, basins, size and fold - and a second run of the same molecule beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studio.coarse.contacts import Contacts
from studio.coarse.mapping import atomic_masses
from studio.coarse.shape import FOLDED, Turn, bead_contacts, features, radius_of_gyration, rmsd, trace, turns
from studio.errors import SettingsError
from studio.parts import Part, keep, kept, key_of
from studio.recipes.base import Study
from studio.recipes.lasting import Lasting, keep_structure
from studio.recipes.recorded_shape import Recording, followed, is_coarse, recording
from studio.recipes.work import Watch, share
from studio.recorder import CG_TIME, TIME
from studio.report import Report
from studio.result import Result, versions
from studio.structure import Floats, Integers, Structure
from studio.surface import PHI_PSI, RAMACHANDRAN, SLOWEST, Basin, Surface, basins, fes_error, jensen_shannon, js_floor, populations, spread_edges
from studio.tica import tica
from studio.timeseries import mean_of

FEWEST_CONTACTS = 8
"""Contacts below which nothing is said of a fold."""
MOST_TURNS = 12
"""Residues that have a map each; of longer chains the slowest coordinates are drawn."""


class Landscape(Lasting):
    """Surfaces and shapes of a recorded run, or of two runs of one molecule.

    Args:
        recording: Folder of the run, of atoms or of beads.
        other: Folder of a second run of the same molecule, to be compared with the first.
        map: What the maps show.
        skip: Share of each run at its start that is left out.
        frames: At most so many of each are looked at, equally far apart.
        lag: Frames between which the slowest coordinates are looked for.
        seed: Of floors and error bars.

    `values` has frames, independent_frames, temperature_K, radius_angstrom, rmsd_angstrom, contacts, each with its error, and of a comparison
    js, js_floor, fes_error_kcal_mol (of the map that differs most). `arrays`: maps (names), axes, coordinates (maps, f, 2), edges_x, edges_y;
    frame, time_ps (of beads cg_time_ps), radius_angstrom, rmsd_angstrom, contacts, (f,) each; basins (names), basin_share, basin_kcal_mol (maps, basins) with
    basin_share_error, basin_error_kcal_mol; js, js_floor, fes_error_kcal_mol (maps,). What is of the second run ends with `_other`.
    """

    study: ClassVar[Study | None] = Study(
        "Where does it go? (shapes and surfaces)",
        "Which shapes the molecule takes along a run, and how much free energy lies between them; a second run, with atoms or beads, "
        "is laid beside it. Some seconds to a minute.",
        "recording",
    )

    kind: Literal["landscape"] = "landscape"
    version: Literal[1] = 1
    recording: str
    other: Annotated[
        str, Field(title="Compare with", description="Another recorded run of the same molecule, of atoms or beads. Left empty, one run is looked at.")
    ] = ""
    map: Annotated[
        Literal["automatic", "backbone torsions", "slowest coordinates"],
        Field(title="Map", description="Automatic: the backbone torsions of up to 12 residues, and the two slowest coordinates of anything larger."),
    ] = "automatic"
    skip: Annotated[float, Field(title="Leave out at the start (share)", description="The run settles there.", ge=0.0, le=0.9)] = 0.0
    frames: Annotated[int, Field(title="Frames", description="At most so many of each run are looked at, equally far apart.", ge=50, le=100_000)] = 5000
    lag: Annotated[int, Field(title="Lag (frames)", description="Of the slowest coordinates: memory is looked for over so many frames.", ge=1, le=1000)] = 5
    seed: Annotated[int, Field(ge=0, lt=2**31 - 1)] = 0

    def answer(self, structure: Structure | None, watch: Watch, folder: Path | None) -> Result:
        """Measure."""
        runs = [recording(place, self.skip, self.frames) for place in (self.recording, self.other) if place]
        watch.show(runs[0].structure.positions)
        keep_structure(runs[0].structure, folder)
        work = _Work(self, runs, folder)
        work.measure(watch)
        return Result({}, work.values, work.arrays, {**versions(), "frames of": work.key}, tuple(work.notes))

    def report(self, result: Result, molecule: Structure | None = None) -> Report:
        """What people see: maps in kcal/mol, basins with errors, shapes along the run; a click on a bin or a basin shows a frame of it.

        Args:
            result: Without a failure.
            molecule: That was kept with it.
        """
        from studio.recipes.landscape_report import landscape_report

        return landscape_report(result, molecule)


@dataclass
class _Work:
    """What is known so far."""

    recipe: Landscape
    runs: Sequence[Recording]
    folder: Path | None
    values: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """A hash of what was recorded."""
        return key_of(*(run.key for run in self.runs))

    def measure(self, watch: Watch) -> None:
        """Read the frames, and make maps, basins and series of them.

        Raises:
            StudioError: The runs cannot be compared, it was stopped, or the folder cannot be written.
        """
        shown, *particles = followed(self.runs[0].structure, self.runs[1].structure if len(self.runs) > 1 else None)
        frames = [self._read(number, run, rows, watch) for number, (run, rows) in enumerate(zip(self.runs, particles, strict=False))]
        watch(0.9, "Maps and basins")
        self._series(shown, particles[0], frames)
        self._maps(self._surfaces(shown, frames))
        self._clocks()

    def _read(self, number: int, run: Recording, rows: Integers, watch: Watch) -> Floats:
        """Positions along one run, kept when they are whole."""
        path, key = self.folder / f"frames-{number}.npz" if self.folder else None, key_of(run.key, str(rows.tolist()))
        known = kept(path, key)
        if known is not None:
            return known.arrays["positions"].astype(np.float64)
        tell, sentence = share(watch, 0.9 * number / len(self.runs), 0.9 * (number + 1) / len(self.runs)), f"Frames of run {number + 1}"
        positions = run.positions(rows, lambda fraction: tell(fraction, sentence))
        keep(path, key, Part({"positions": positions.astype(np.float32)}, {}))
        return positions

    def _clocks(self) -> None:
        temperatures = [run.temperature for run in self.runs]
        self.values["temperature_K"] = temperatures[0]
        self.arrays["clock"] = np.array([run.clock for run in self.runs])
        if len(set(temperatures)) > 1:
            self.notes.append(f"The runs are at {temperatures[0]:g} and {temperatures[1]:g} K: free energies are at the first.")

    def _series(self, shown: Structure, rows: Integers, frames: Sequence[Floats]) -> None:
        """Size, likeness to the start of the first run, and its contacts, along each run."""
        start = self.runs[0].structure.positions[rows]
        masses = np.ones(len(shown)) if any(is_coarse(run.structure) for run in self.runs) else atomic_masses(shown)
        line, contacts = trace(shown), _contacts(shown, start)
        for run, places, end in zip(self.runs, frames, ("", "_other"), strict=False):
            series = {"radius_angstrom": 10.0 * radius_of_gyration(places, masses), "rmsd_angstrom": 10.0 * rmsd(places[:, line], start[line])}
            if contacts is not None:
                series["contacts"] = contacts.fraction(places)
            for name, values in series.items():
                mean = mean_of(values)
                self.values |= {name + end: float(mean.value), **({f"{name}_error{end}": float(mean.error)} if np.isfinite(mean.error) else {})}
            clock = TIME if run.clock == "time" else CG_TIME
            self.arrays |= {name + end: values for name, values in {**series, clock: run.times, "frame": run.numbers}.items()}

    def _surfaces(self, shown: Structure, frames: Sequence[Floats]) -> list[list[Surface]]:
        """The maps of each run."""
        found = turns(shown) if self.recipe.map != "slowest coordinates" else ()
        if found and (len(found) <= MOST_TURNS or self.recipe.map == "backbone torsions"):
            return [[turn.surface(places) for turn in _spread(found, frames[0])] for places in frames]
        if self.recipe.map == "backbone torsions":
            raise SettingsError(
                "There is no residue with neighbours on both sides here, so that there are no backbone torsions. Choose the slowest coordinates."
            )
        columns = [features(places, shown) for places in frames]
        slow = tica(columns[:1], self.recipe.lag)
        first, *_ = places = [slow.project(each) for each in columns]
        edges = spread_edges(first[:, 0]), spread_edges(first[:, 1])
        return [[Surface("the whole", SLOWEST, edges, *place.T)] for place in places]

    def _maps(self, surfaces: Sequence[Sequence[Surface]]) -> None:
        """Counts, basins, and what lies between two runs."""
        first = surfaces[0]
        self.arrays |= {"maps": np.array([surface.name for surface in first]), "axes": np.array(first[0].axes)}
        self.arrays |= {"edges_x": first[0].edges[0], "edges_y": first[0].edges[1]}
        for maps, end in zip(surfaces, ("", "_other"), strict=False):
            self.arrays["coordinates" + end] = np.array([np.stack([surface.x, surface.y], axis=1) for surface in maps])
            self.values |= {"frames" + end: float(len(maps[0].x)), "independent_frames" + end: min(surface.independent() for surface in maps)}
            self._states(maps, end)
        if len(surfaces) > 1:
            self._apart([*zip(*surfaces, strict=True)])

    def _states(self, maps: Sequence[Surface], end: str) -> None:
        """Basins of phi and psi; else folded and unfolded."""
        temperature, known = self.runs[0].temperature, self.arrays.get("basins")
        if maps[0].axes == PHI_PSI:
            zeros = self.arrays["basin_zero"].tolist() if known is not None else [""] * len(maps)
            found = [basins(surface, temperature, above=zero, seed=self.recipe.seed) for surface, zero in zip(maps, zeros, strict=True)]
            self.arrays.setdefault("basins", np.array([patch.name for patch in RAMACHANDRAN]))
        elif "contacts" + end in self.arrays:
            whole = self.arrays["contacts" + end] >= FOLDED
            found = [populations(np.stack([whole, ~whole], axis=1), ("folded", "unfolded"), temperature, above="folded", seed=self.recipe.seed)]
            self.arrays.setdefault("basins", np.array(["folded", "unfolded"]))
        else:
            return
        self.arrays.setdefault("basin_zero", np.array([max(each, key=lambda basin: basin.share).name for each in found]))
        self.arrays |= {name + end: values for name, values in _table(found).items()}

    def _apart(self, pairs: Sequence[tuple[Surface, Surface]]) -> None:
        """How far the runs are apart on each map, and how far they would be by chance."""
        temperature, seed = self.runs[0].temperature, self.recipe.seed
        told: dict[str, list[float]] = {"js": [], "js_floor": [], "fes_error_kcal_mol": []}
        for one, other in pairs:
            p, q = one.probabilities, other.probabilities
            told["js"].append(jensen_shannon(p, q))
            told["js_floor"].append(js_floor(0.5 * (p + q), one.independent(), seed=seed, others=other.independent()))
            told["fes_error_kcal_mol"].append(fes_error(p, q, temperature))
        worst = int(np.argmax(np.array(told["js"]) / np.array(told["js_floor"])))
        self.arrays |= {name: np.array(numbers) for name, numbers in told.items()}
        self.values |= {"worst_map": float(worst), **{name: numbers[worst] for name, numbers in told.items()}}


def _contacts(shown: Structure, start: Floats) -> Contacts | None:
    """Contacts of the start; none where there are too few for a fold."""
    if not all(shown.names[k] == "CA" for k in trace(shown).tolist()):
        return None
    contacts = bead_contacts(shown, start)
    return contacts if len(contacts) >= FEWEST_CONTACTS else None


def _spread(found: Sequence[Turn], frames: Floats) -> Sequence[Turn]:
    """Those residues that move most, in the order of the chain."""
    if len(found) <= MOST_TURNS:
        return found
    seen = [int((turn.surface(frames).counts > 0).sum()) for turn in found]
    return [found[k] for k in sorted(np.argsort(seen)[-MOST_TURNS:].tolist())]


def _table(found: Sequence[Sequence[Basin]]) -> dict[str, Floats]:
    """Basins as arrays, (maps, basins); not a number where nothing is known."""
    names = {"basin_share": "share", "basin_share_error": "share_error", "basin_kcal_mol": "free_energy", "basin_error_kcal_mol": "error"}
    return {name: np.array([[getattr(basin, own) for basin in each] for each in found], dtype=np.float64) for name, own in names.items()}
