"""Martini 3: topologies are martinize2's, energies are GROMACS's, water has its density, and a run keeps fold, temperature and pressure."""

import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest
import vermouth

from studio.back import backbone_rmsd, settled, to_atoms
from studio.coarse import martini_trace
from studio.coarse.go import GoModel
from studio.coarse.mapping import map_protein
from studio.coarse.martini import Martini, mean_site
from studio.coarse.martini_forces import CUTOFF, END, FIELD, SCALE, bonded_forces, pair_forces
from studio.coarse.martini_residues import Residues
from studio.coarse.martini_table import lennard_jones, mass_of
from studio.coarse.martini_topology import Term, Topology, martinize
from studio.coarse.martini_trace import alphas_of, fit
from studio.coarse.martini_water import DENSITY, in_water
from studio.errors import LeftBehindError, MissingPackageError, StructureError, UnsupportedError
from studio.hybrid.view import View
from studio.hybrid.whole import MakeWhole
from studio.io import to_pdb
from studio.levels import level, level_of
from studio.recipes.dynamics import Dynamics
from studio.replay import Replay
from studio.structure import Structure
from studio.superpose import superposition
from studio.system import FromChains, FromFile, FromSequence, System
from studio.units import COULOMB

WHEEL = Path(vermouth.__file__).parent / "tests" / "data" / "integration_tests"
"""Proteins and their topologies that come with vermouth."""
CAGE = System(source=FromFile(path=str(WHEEL / "tier-0" / "mini-protein3_trp-cage" / "aa.pdb")))
BEADS = {"bonds": 2, "constraints": 2, "angles": 3, "dihedrals": 4}
ELASTIC = 700.0
Terms = dict[tuple[str, int, tuple[int, ...]], list[tuple[float, ...]]]


@pytest.fixture(scope="module")
def reference() -> dict:
    """Trp-cage in water: topology, positions, and what GROMACS says about them."""
    return json.loads((Path(__file__).parent / "martini_reference.json").read_text())


@pytest.fixture(scope="module")
def cage() -> Structure:
    return CAGE.prepare()


@pytest.fixture(scope="module")
def ubiquitin() -> Topology:
    return martinize(System(source=FromFile(path=str(WHEEL / "tier-1" / "1UBQ" / "aa.pdb"))).prepare(), ELASTIC)


def energy(force: openmm.Force, data: dict) -> float:
    """Of one force at the reference's positions, kJ/mol."""
    system = openmm.System()
    for _ in data["types"]:
        system.addParticle(1.0)
    system.setDefaultPeriodicBoxVectors(*np.eye(3) * data["box_nm"])
    system.addForce(force)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(data["positions_nm"])
    return float(context.getState(energy=True).getPotentialEnergy()._value)


# --- energies


def test_bonded_energies_are_those_of_gromacs(reference: dict) -> None:
    """Kind by kind; a wrong function type, unit or sign would show in one of them."""
    terms = [Term(kind, function, tuple(beads), tuple(parameters)) for kind, function, beads, parameters in reference["terms"]]
    names = {
        ("bonds", 1): "Bond",
        ("angles", 2): "G96Angle",
        ("angles", 10): "Restr. Angles",
        ("dihedrals", 1): "Proper Dih.",
        ("impropers", 2): "Improper Dih.",
    }
    assert {(term.kind, term.function) for term in terms} == {*names, ("constraints", 1)}
    for (kind, function), name in names.items():
        (force,) = bonded_forces([term for term in terms if (term.kind, term.function) == (kind, function)])
        assert energy(force, reference) == pytest.approx(reference["kj_mol"][name], rel=1e-7), name


def test_energies_between_beads_are_those_of_gromacs(reference: dict) -> None:
    """Lennard-Jones and reaction field; GROMACS adds the constant energy of each charge with itself."""
    charges, excluded = np.array(reference["charges"]), np.array(reference["excluded"])
    between, within = pair_forces(reference["types"], charges, excluded)
    neutral, _ = pair_forces(reference["types"], 0.0 * charges, excluded)
    lennard, itself = energy(neutral, reference), -0.5 * SCALE * END * float((charges**2).sum())
    assert lennard == pytest.approx(reference["kj_mol"]["LJ (SR)"], rel=1e-7)
    field = energy(between, reference) - lennard + energy(within, reference) + itself
    assert field == pytest.approx(reference["kj_mol"]["Coulomb (SR)"], rel=1e-5)


def test_excluded_charges_feel_the_reaction_field() -> None:
    """By hand: two bonded charges attract as GROMACS has it, k r^2 - c, and nothing else."""
    charges, data = np.array([1.0, -1.0]), {"types": ["Q5", "Q5n"], "box_nm": 5.0, "positions_nm": [[0.0, 0.0, 0.0], [0.35, 0.0, 0.0]]}
    between, within = pair_forces(data["types"], charges, np.array([[0, 1]]))
    assert energy(between, data) == 0.0
    assert energy(within, data) == pytest.approx(-COULOMB / 15.0 * (0.35**2 / (2 * 1.1**3) - 3 / (2 * 1.1)), rel=1e-9)
    assert pytest.approx(END) == 1 / CUTOFF + FIELD * CUTOFF**2, "zero at the cutoff"


def test_pairs_have_numbers_of_their_own() -> None:
    sigma, epsilon = lennard_jones(["W", "TC4", "Q5"])
    assert (sigma[0, 0], epsilon[0, 0]) == (0.47, 4.65)
    assert np.array_equal(epsilon, epsilon.T)
    assert epsilon[0, 1] < epsilon[0, 0] < epsilon[0, 2], "water likes charges more than itself, and rings less"
    with pytest.raises(UnsupportedError, match="lacks C1 with W"):
        lennard_jones(["W", "C1"])


def test_unknown_terms_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="bonds of type 6 are not available"):
        bonded_forces([Term("bonds", 6, (0, 1), (0.5, 500.0))])


# --- topologies


def test_a_topology_is_the_one_of_martinize2(ubiquitin: Topology) -> None:
    """Beads, types, terms and exclusions of ubiquitin as vermouth's authors keep them; theirs has no hydrogens, so that places differ a little."""
    rows = itp(WHEEL / "tier-1" / "1UBQ" / "martinize2" / "molecule_0.itp")
    neutral = {"TN6d", "TN5a"}
    for row, name, kind, charge in zip(rows["atoms"], ubiquitin.beads.names, ubiquitin.types, ubiquitin.charges, strict=True):
        assert (row[4], float(row[6])) == (name, charge)
        assert row[1] == kind or {row[1], kind} == neutral, "of histidine the tautomer is another"
    theirs, ours = terms_of(rows), defaultdict(list)
    for term in ubiquitin.terms:
        ours[term.kind, term.function, term.beads].append(term.parameters)
    springs = {key for key in theirs.keys() ^ ours.keys() if key[0] == "bonds"}
    assert theirs.keys() ^ ours.keys() == springs, "the elastic network reaches 0.9 nm, which places decide"
    assert len(springs) < 10
    histidine = {bead for bead, residue in enumerate(ubiquitin.beads.residue_index.tolist()) if ubiquitin.beads.residues[residue].name == "HIS"}
    for key in theirs.keys() & ours.keys() if not histidine else {key for key in theirs.keys() & ours.keys() if not histidine & {*key[2]}}:
        for one, other in zip(sorted(theirs[key]), sorted(ours[key]), strict=True):
            if key[0] == "dihedrals":
                assert abs((one[0] - other[0] + 180.0) % 360.0 - 180.0) < 10.0, key
            assert one[key[0] == "dihedrals" :] == pytest.approx(other[key[0] == "dihedrals" :], abs=0.015), key


def itp(path: Path) -> dict[str, list[list[str]]]:
    """Rows of each section of a GROMACS topology, with rigid bonds as constraints."""
    rows: dict[str, list[list[str]]] = defaultdict(list)
    section, left_out = "", False
    for line in path.read_text().splitlines():
        words = line.split(";")[0].split()
        if not words:
            continue
        if words[0].startswith("#"):
            left_out = words == ["#ifdef", "FLEXIBLE"]
        elif words[0] == "[":
            section = words[1]
        elif not left_out:
            rows[section].append(words)
    return rows


def terms_of(rows: dict[str, list[list[str]]]) -> Terms:
    found: Terms = defaultdict(list)
    for kind, n in BEADS.items():
        for row in rows[kind]:
            function = int(row[n])
            name = "impropers" if (kind, function) == ("dihedrals", 2) else kind
            found[name, function, tuple(int(bead) - 1 for bead in row[:n])].append(tuple(map(float, row[n + 1 :])))
    return found


def test_ends_and_bridges_of_insulin() -> None:
    """Two chains with charged ends; three disulfide bridges, two of them between the chains."""
    prepared = System(source=FromFile(path=str(WHEEL / "tier-1" / "3i40" / "3i40.pdb"))).prepare()
    made = martinize(prepared, ELASTIC)
    residues = Residues(prepared)
    assert [len(chain) for chain in residues.chains] == [21, 30]
    rigid = [term for term in made.terms if term.kind == "constraints" and term.parameters == (0.24,)]
    assert len(rigid) == len(residues.bridges) == 3
    chains = [{made.beads.residue_of(bead).chain for bead in term.beads} for term in rigid]
    assert sorted(map(len, chains)) == [1, 2, 2]
    ends = [bead for bead, (name, kind) in enumerate(zip(made.beads.names, made.types, strict=True)) if (name, kind) == ("BB", "Q5")]
    assert made.charges[ends].tolist() == [1.0, -1.0, 1.0, -1.0]
    assert made.charges.sum() == pytest.approx(prepared.take(prepared.atoms_of("protein")).charge)
    between = [term for term in made.terms if term.kind == "bonds" and len({made.beads.residue_of(bead).chain for bead in term.beads}) > 1]
    assert not between, "springs of the elastic network stay within a chain"


def test_caps_protonation_and_secondary_structure() -> None:
    capped = System(source=FromSequence(sequence="AEALAEKAHKELADAL", shape="helix")).prepare()
    made = martinize(capped, 0.0)
    assert len(made.beads.residues) == 16, "caps have no beads of their own"
    assert (made.types[0], made.charges[0]) == ("P2", 0.0)
    assert made.secondary == "C1111HHHH2222TTC", "a helix with its two ends"
    assert made.charges.sum() == capped.charge
    acid = martinize(System(source=FromSequence(sequence="AEDHK"), ph=2.0).prepare(), 0.0)
    kinds = {(acid.beads.residue_of(bead).name, acid.beads.names[bead]): kind for bead, kind in enumerate(acid.types)}
    assert (kinds["GLU", "SC1"], kinds["ASP", "SC1"], kinds["HIS", "SC2"]) == ("P2", "SP2", "TP1dq")


def test_tryptophan_has_a_site_that_follows(cage: Structure) -> None:
    made = martinize(cage, 0.0)
    ((site, others),) = made.virtual.items()
    assert made.beads.label(site).startswith("SC3 of TRP")
    assert made.masses[site] == 0.0
    assert made.beads.positions[site] == pytest.approx(made.beads.positions[list(others)].mean(axis=0))
    assert isinstance(mean_site(others), openmm.LocalCoordinatesSite)


# --- water


def test_water_is_neutral_and_keeps_away(cage: Structure) -> None:
    made = martinize(cage, 0.0)
    whole = in_water(made.beads, 1, 0.8, 0.15)
    assert whole.charge + round(float(made.charges.sum())) - made.beads.charge == 0
    assert whole.box is not None
    around = whole.positions[len(made.beads) :]
    apart = around[:, None] - whole.positions[None, : len(made.beads)]
    apart -= np.round(apart / whole.box[0, 0]) * whole.box[0, 0]
    assert np.linalg.norm(apart, axis=2).min() > 0.35
    assert len(whole) > 0.8 * DENSITY * float(np.linalg.det(whole.box))
    with pytest.raises(StructureError, match="have no room"):
        in_water(made.beads, 1, 0.3, 2.0)
    with pytest.raises(StructureError, match="at most 30,000 are offered"):
        in_water(made.beads.with_positions(10.0 * made.beads.positions), 1, 0.8, 0.15)


def test_water_has_the_density_that_gromacs_finds() -> None:
    """0.987 g/cm^3 at 300 K and 1 bar (GROMACS 2022.5, 1 ns: 0.9873 +- 0.0013)."""
    n, edge = 343, 3.46
    system = openmm.System()
    for _ in range(n):
        system.addParticle(mass_of("W"))
    system.setDefaultPeriodicBoxVectors(*edge * np.eye(3))
    system.addForce(pair_forces(["W"] * n, np.zeros(n), np.zeros((0, 2), dtype=int))[0])
    barostat = openmm.MonteCarloBarostat(1.0, 300.0, 10)
    barostat.setRandomNumberSeed(1)
    system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.02)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
    step = (np.arange(7) + 0.5) * edge / 7
    context.setPositions(np.stack(np.meshgrid(step, step, step), axis=-1).reshape(-1, 3))
    context.setVelocitiesToTemperature(300.0, 1)
    integrator.step(500)
    volumes = []
    for _ in range(50):
        integrator.step(40)
        volumes.append(context.getState().getPeriodicBoxVolume()._value)
    density = n * 72.0 / 602.214 / np.mean(volumes)
    assert density == pytest.approx(0.987, abs=0.02)


# --- as a run


@pytest.fixture(scope="module")
def recipe() -> Dynamics:
    there = level("martini3").apply(Dynamics(system=CAGE, steps=300, interval=100))
    assert (there.timestep, there.view.timestep) == (None, 20.0)
    return there


def test_a_run_keeps_the_fold_and_its_temperature(recipe: Dynamics, cage: Structure) -> None:
    simulation = recipe.simulation(cage)
    beads = np.flatnonzero([residue.kind == "protein" for residue in (simulation.structure.residue_of(atom) for atom in range(len(simulation.structure)))])
    start, backbone = simulation.structure.take(beads), [bead for bead in beads.tolist() if simulation.structure.names[bead] == "BB"]
    simulation.advance(300)
    frames = [simulation.advance(50) for _ in range(12)]
    assert np.mean([frame.temperature for frame in frames]) == pytest.approx(300.0, rel=0.04)
    assert len({float(frame.box[0, 0]) for frame in frames if frame.box is not None}) > 1, "the barostat changes the box"
    last = frames[-1]
    assert last.box is not None
    whole = MakeWhole(start)(last.positions[beads].astype(float), last.box.astype(float))[backbone]
    moved = superposition(whole, start.positions[backbone])(whole) - start.positions[backbone]
    assert np.sqrt((moved**2).sum(axis=1).mean()) < 0.3, "Trp-cage is held by its elastic network"
    made = martinize(cage, ELASTIC)
    places = MakeWhole(start)(last.positions[beads].astype(float), last.box.astype(float))
    for term in made.terms:
        if term.kind == "constraints":
            assert np.linalg.norm(places[term.beads[0]] - places[term.beads[1]]) == pytest.approx(term.parameters[0], abs=1e-3)
    for site, others in made.virtual.items():
        assert places[site] == pytest.approx(places[list(others)].mean(axis=0), abs=1e-4)


def test_the_barostat_follows_the_thermostat(recipe: Dynamics, cage: Structure) -> None:
    simulation = recipe.model_copy(update={"minimise": 0}).simulation(cage)
    simulation.set_temperature(350.0)
    assert simulation._context.getParameter(openmm.MonteCarloBarostat.Temperature()) == 350.0


def test_a_run_is_recorded_and_continued(recipe: Dynamics, tmp_path: Path) -> None:
    result = recipe.run(folder=tmp_path)
    assert result.ok, result.failure
    assert result.provenance["coarse_model"].startswith("Martini 3")
    assert any("CG time" in note for note in result.notes)
    replay = Replay(tmp_path)
    assert (len(replay), replay.frame(-1).time) == (4, pytest.approx(6.0))
    again = recipe.model_copy(update={"steps": 400}).run(folder=tmp_path)
    assert again.ok, again.failure
    assert len(Replay(tmp_path)) == 5


def test_beads_are_shown_as_beads(recipe: Dynamics, cage: Structure) -> None:
    beads = recipe.view.build(CAGE, cage).structure
    assert beads.is_coarse
    assert not beads.is_beads
    assert not cage.is_coarse
    text = to_pdb(beads.take(beads.atoms_of("protein")))
    assert text.count("ATOM  ") == 46
    assert "CONECT" in text, "no viewer guesses what is bonded among beads"


# --- the dial


def test_the_level_of_a_protein(recipe: Dynamics, cage: Structure) -> None:
    one = level("martini3")
    limits = one.limits(CAGE, cage, recipe.view)
    assert limits.possible
    assert "neither unfolds nor folds" in limits.advice
    assert level_of(recipe) is not None
    assert level_of(recipe).name == "martini3"
    assert 1.0 < one.particles(cage, recipe.view) / len(recipe.view.build(CAGE, cage).structure) < 1.4
    chains = System(source=FromChains(sequences=("GGEEKKGG",)))
    assert "without side chains" in one.limits(chains, chains.prepare(), recipe.view).blocking
    far = cage.with_positions(cage.positions * 10.0)
    assert "at most 30,000" in one.limits(CAGE, far, recipe.view).blocking


def test_atoms_and_beads_come_along(recipe: Dynamics, cage: Structure) -> None:
    """Moved atoms become beads where they are; the elastic network is that of the prepared structure."""
    one, shaken = level("martini3"), cage.with_positions(cage.positions + 0.05 * np.random.default_rng(0).normal(size=cage.positions.shape) + 3.0)
    carried = one.carry(shaken, recipe.system.prepare())
    mm = recipe.view.build(recipe.system, carried.structure)
    kept = martinize(cage, ELASTIC).positions(shaken.positions)
    ours = mm.structure.positions[: len(kept)]
    assert ours - ours.mean(axis=0) == pytest.approx(kept - kept.mean(axis=0), abs=1e-6)
    native = recipe.view.build(recipe.system, cage)
    assert openmm.XmlSerializer.serialize(mm.system.getForce(0)) == openmm.XmlSerializer.serialize(native.system.getForce(0))


# --- the way back


def seen(atoms: Structure) -> Structure:
    """The beads of a protein where its atoms are."""
    made = martinize(atoms, 0.0)
    return made.beads.with_positions(made.positions(np.asarray(atoms.positions)))


def alphas(atoms: Structure) -> np.ndarray:
    return np.asarray(map_protein(atoms).beads.positions)


@pytest.mark.parametrize("file", ["tier-0/mini-protein3_trp-cage", "tier-1/1UBQ"])
def test_alphas_follow_from_backbone_beads(file: str) -> None:
    """Of proteins that the table was not made from; taken for C-alphas, the beads would lie 0.9 angstrom off, and closer together than a chain can be."""
    atoms = System(source=FromFile(path=str(WHEEL / file / "aa.pdb"))).prepare()
    beads, real = seen(atoms), alphas(atoms)
    found = alphas_of(beads, atoms)
    off = np.linalg.norm(found.positions - real, axis=1)
    assert np.sqrt((off**2).mean()) < 0.04
    assert off.max() < 0.15
    assert np.linalg.norm(np.diff(found.positions, axis=0), axis=1) == pytest.approx(np.linalg.norm(np.diff(real, axis=0), axis=1), abs=1e-3)
    backbone = beads.positions[[name == "BB" for name in beads.names]]
    assert np.sqrt(((backbone - real) ** 2).sum(axis=1).mean()) > 0.08


def test_the_table_is_what_another_protein_says_too(cage: Structure) -> None:
    """Least squares over ubiquitin alone; a table of another order of features, axes or units would be far off."""
    atoms = System(source=FromFile(path=str(WHEEL / "tier-1" / "1UBQ" / "aa.pdb"))).prepare()
    beads = seen(atoms)
    own = {name: {str(beads.residue_of(k)): beads.positions[k] for k, called in enumerate(beads.names) if called == name} for name in ("BB", "SC1")}
    backbone = np.array(list(own["BB"].values()))
    sides = np.array([own["SC1"].get(residue, place) for residue, place in own["BB"].items()])
    fitted, shipped = fit([(backbone, sides, alphas(atoms))]), alphas_of(seen(cage), cage).positions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(martini_trace, "_table", lambda: fitted)
        assert np.sqrt(((alphas_of(seen(cage), cage).positions - shipped) ** 2).sum(axis=1).mean()) < 0.04


def test_what_was_prepared_as_a_helix_is_found_extended() -> None:
    """The place of a C-alpha follows from where the beads are now, not from where they were prepared."""
    helix, line = (System(source=FromSequence(sequence="GSWKPFYLHRNDEAQTVIMC", shape=shape)).prepare() for shape in ("helix", "extended"))
    off = np.linalg.norm(alphas_of(seen(line), helix).positions - alphas(line), axis=1)
    assert np.sqrt((off**2).mean()) < 0.04


def test_there_and_back(cage: Structure) -> None:
    """The guarantees of beads one a residue: names and bonds, L-amino acids, no new cis bond, the backbone within 1.2 angstrom; and beads where they were."""
    there = to_atoms(seen(cage), cage)
    assert there.structure.names == cage.names
    assert there.structure.bonds.tolist() == cage.bonds.tolist()
    assert (there.mirrored, there.cis) == ((), ())
    assert backbone_rmsd(there.structure, cage) < 0.12
    assert there.ca_shift < 0.15
    assert "the middles of backbones lie within" in there.sentence
    calm = settled(there.structure, CAGE)
    lengths = [np.linalg.norm(each.positions[cage.bonds[:, 0]] - each.positions[cage.bonds[:, 1]], axis=1) for each in (calm, cage)]
    assert np.abs(lengths[0] - lengths[1]).max() < 0.015
    frame = Dynamics(system=CAGE, view=View(resolution="mm"), minimise=0).simulation(calm).advance(50)
    assert frame.temperature < 450.0, "an energy that a simulation can start from"


def test_a_run_goes_back_from_any_image(recipe: Dynamics, cage: Structure) -> None:
    """A box cuts through the protein: its beads are one molecule again before atoms are built on them."""
    simulation = recipe.simulation(cage)
    frame = simulation.advance(200)
    now = replace(simulation.structure, positions=frame.positions.astype(float), box=frame.box.astype(float))
    edge = np.diag(now.box)
    cut = now.with_positions((now.positions - now.positions[20] + 0.5 * edge) % edge + 7.0 * edge)
    ways = [level("go-ca").carry(each, cage).structure for each in (now, cut)]
    moved = superposition(ways[1].positions, ways[0].positions)(ways[1].positions)
    assert moved == pytest.approx(ways[0].positions, abs=2e-3)
    assert ways[0].is_beads
    assert recipe.view.model_copy(update={"beads": GoModel()}).build(CAGE, ways[0]).structure.positions == pytest.approx(ways[0].positions)
    atoms = level("mm").carry(cut, cage)
    assert "Atoms were built on the beads" in atoms.sentence
    assert "mirrored" not in atoms.sentence
    assert backbone_rmsd(atoms.structure, cage) < 0.25, "which its springs hold"
    kept = level("martini3").carry(now, cage)
    assert kept.structure is now
    wet = cage.join(Structure.from_smiles("O"))
    with pytest.raises(LeftBehindError, match="left 3 atoms"):
        level("mm").carry(now, wet)


def test_other_residues_have_no_way_back(cage: Structure) -> None:
    beads = seen(cage)
    with pytest.raises(UnsupportedError, match="beads for 20 residues, and 19 are to have atoms"):
        alphas_of(beads, cage.take(np.flatnonzero(cage.residue_index > 0)))
    two = System(source=FromSequence(sequence="AG")).prepare()
    with pytest.raises(UnsupportedError, match="less than three residues"):
        alphas_of(seen(two), two)


def test_refusals(cage: Structure, monkeypatch: pytest.MonkeyPatch) -> None:
    beads = System(source=FromChains(sequences=("GGEEKKGG",))).prepare()
    with pytest.raises(UnsupportedError, match="these are beads"):
        Martini().build(beads, beads, 300.0, 7.4)
    with pytest.raises(UnsupportedError, match="TRP A6 lacks its atom CZ2"):
        martinize(cage.take(np.array([atom for atom in range(len(cage)) if cage.label(atom)[:10] != "CZ2 of TRP"])), 0.0)
    names = tuple(replace(residue, name="CYM") if residue.name == "SER" else residue for residue in cage.residues)
    with pytest.raises(UnsupportedError, match="CYM A13 lacks its atom SG"):
        martinize(replace(cage, residues=names), 0.0)
    charges = np.array(cage.formal_charges)
    charges[[atom for atom in range(len(cage)) if cage.label(atom).startswith("OH of TYR")]] = -1
    with pytest.raises(UnsupportedError, match="TYR A3 has a charge of -1, and Martini 3 knows it with"):
        martinize(replace(cage, formal_charges=charges), 0.0)
    other = CAGE.model_copy(update={"source": FromSequence(sequence="GGGGGG")}).prepare()
    with pytest.raises(StructureError, match="other residues"):
        Martini().build(cage, other, 300.0, 7.4)
    monkeypatch.setitem(sys.modules, "vermouth.processors", None)
    with pytest.raises(MissingPackageError, match="pip install vermouth"):
        martinize(cage, 0.0)
