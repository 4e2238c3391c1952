"""Bead models: forces are slopes, energies are the published formulas, the native structure is the lowest and comes apart when hot."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from studio.coarse.calvados import CHARGE_CUTOFF, STICKY_CUTOFF, Calvados, charges_of, debye_length, masses_of, permittivity
from studio.coarse.chain import angles, torsions
from studio.coarse.contacts import native_contacts
from studio.coarse.go import REACH, ROOM, GoModel
from studio.coarse.mapping import map_protein
from studio.coarse.parts import chosen
from studio.coarse.residues import bead_of
from studio.errors import RegionError, StructureError, UnsupportedError
from studio.forcefield.base import MMSystem
from studio.hybrid.view import View
from studio.io import to_pdb
from studio.recipes.dynamics import Dynamics
from studio.region import AnyRegion, KindIs, ResidueRange
from studio.replay import Replay
from studio.run import Run
from studio.script import script_of
from studio.simulation import OpenMMSimulation, Thermostat
from studio.structure import Structure
from studio.system import FromChains, FromSequence, FromTarget, System, WaterBox
from studio.units import COULOMB
from tests.test_run import next_frame

KINASE = System(source=FromTarget(target="tyk2", ligand="ejm_31"))
IDP = "MKVIFLAVTVCLASNAAPGEKQELLDKNPSSGQRDYDEEGSTRKNHPWGYFQMAAKDSEEEKPLQTNGRSY"
CHAIN = System(source=FromChains(sequences=(IDP,)))


def residues(first: int, last: int) -> AnyRegion:
    return KindIs(of="protein") & ResidueRange(first=first, last=last, chain="A")


@pytest.fixture(scope="module")
def kinase() -> Structure:
    return KINASE.prepare()


@pytest.fixture(scope="module")
def go(kinase: Structure) -> MMSystem:
    return GoModel(of=residues(10, 85)).build(kinase, kinase, 300.0, 7.4)


@pytest.fixture(scope="module")
def idp() -> MMSystem:
    beads = CHAIN.prepare()
    return Calvados().build(beads, beads, 300.0, 7.4)


@pytest.fixture(scope="module")
def domains(kinase: Structure) -> MMSystem:
    return Calvados(version=3, of=residues(10, 85), domains=(residues(10, 60),)).build(kinase, kinase, 300.0, 7.4)


def energies(mm: MMSystem, positions: np.ndarray) -> tuple[float, np.ndarray, list[float]]:
    """Energy, forces, and the energy of each force by itself."""
    import openmm

    for group, force in enumerate(mm.system.getForces()):
        force.setForceGroup(group)
    context = openmm.Context(mm.system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    parts = [context.getState(energy=True, groups={group}).getPotentialEnergy()._value for group in range(mm.system.getNumForces())]
    return state.getPotentialEnergy()._value, np.asarray(state.getForces(asNumpy=True)._value), parts


@pytest.mark.parametrize("name", ["go", "idp", "domains"])
def test_forces_are_slopes(name: str, request: pytest.FixtureRequest) -> None:
    """Of every term by itself, along a random direction."""
    mm: MMSystem = request.getfixturevalue(name)
    rng = np.random.default_rng(0)
    places = mm.structure.positions + 0.02 * rng.normal(size=mm.structure.positions.shape)
    along, step = rng.normal(size=places.shape), 1e-6
    _, forces, _ = energies(mm, places)
    ahead, behind = (energies(mm, places + sign * step * along) for sign in (1, -1))
    assert -(forces * along).sum() == pytest.approx((ahead[0] - behind[0]) / (2 * step), rel=1e-5)
    assert any(parts != 0.0 for parts in ahead[2])


# --- Go


def test_the_go_energy_is_the_formula(go: MMSystem, kinase: Structure) -> None:
    native, contacts = GoModel(of=residues(10, 85)).native(kinase)
    places = native.positions + 0.03 * np.random.default_rng(1).normal(size=native.positions.shape)
    eps = GoModel().epsilon
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    ratio = contacts.distances / apart[tuple(contacts.pairs.T)]
    attraction = eps * (5 * ratio**12 - 6 * ratio**10).sum()
    others = np.triu(np.ones_like(apart), 4) > 0
    others[tuple(contacts.pairs.T)] = False
    near = others & (apart < REACH)
    repulsion = eps * ((ROOM / apart[near]) ** 12 - (ROOM / REACH) ** 12).sum()
    parts = energies(go, places)[2]
    assert parts[3] == pytest.approx(attraction, rel=1e-6)
    assert parts[4] == pytest.approx(repulsion, rel=1e-6)
    assert len(torsions(native)) == 73
    assert len(angles(native)) == 74


def test_the_native_structure_is_the_lowest(go: MMSystem, kinase: Structure) -> None:
    """Bonds, angles and torsions are zero there, each contact gives all it has, and walking downhill leads nowhere else."""
    native, contacts = GoModel(of=residues(10, 85)).native(kinase)
    _, _, parts = energies(go, native.positions)
    assert parts[:3] == pytest.approx([0.0, 0.0, 0.0], abs=1e-4)
    assert parts[3] == pytest.approx(-GoModel().epsilon * len(contacts))
    simulation = View(resolution="beads", beads=GoModel(of=residues(10, 85))).build(KINASE, kinase)
    lowest = OpenMMSimulation(simulation, Thermostat(300.0, 0.1, 10.0)).minimise(500)
    assert np.linalg.norm(lowest.positions - native.positions, axis=1).max() < 0.05
    assert contacts.fraction(lowest.positions.astype(float)) > 0.99


def test_it_holds_when_cold_and_unfolds_when_hot(kinase: Structure) -> None:
    model = GoModel(of=residues(10, 85))
    _, contacts = model.native(kinase)
    made = {}
    for kelvin in (250.0, 700.0):
        simulation = OpenMMSimulation(View(resolution="beads", beads=model).build(KINASE, kinase), Thermostat(kelvin, 0.5, 10.0, seed=1))
        frames = [simulation.advance(500) for _ in range(20)]
        made[kelvin] = contacts.fraction(np.array([frame.positions for frame in frames[10:]], dtype=float)).mean()
        assert np.mean([frame.temperature for frame in frames[5:]]) == pytest.approx(kelvin, rel=0.06)
    assert made[250.0] > 0.85
    assert made[700.0] < 0.4


def test_two_chains_hold_on_to_each_other(kinase: Structure) -> None:
    """Contacts between pieces that are not bonded are contacts too."""
    part = chosen(kinase, residues(10, 40) | residues(60, 85))
    beads, contacts = GoModel().native(part)
    assert len(beads.molecules) == 2
    between = contacts.pairs[(contacts.pairs[:, 0] < 31) & (contacts.pairs[:, 1] >= 31)]
    assert len(between) >= 4
    assert [30, 31] not in beads.bonds.tolist()


def test_shadowed_pairs_are_no_contacts(kinase: Structure) -> None:
    part = chosen(kinase, residues(10, 85))
    mapping = map_protein(part)
    by_cutoff, by_shadow = (native_contacts(part, mapping, rule, 0.6) for rule in ("cutoff", "shadow"))
    assert {*map(tuple, by_shadow.pairs.tolist())} < {*map(tuple, by_cutoff.pairs.tolist())}
    assert 1.2 < len(by_cutoff) / len(by_shadow) < 4.0
    assert (by_shadow.pairs[:, 1] - by_shadow.pairs[:, 0]).min() > 3


def test_contacts_are_those_of_openabc(kinase: Structure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow_map = pytest.importorskip("openabc.utils.shadow_map")
    from scipy.spatial import cKDTree

    def close(coordinates, cutoff, box, use_pbc):  # what openabc asks MDAnalysis for
        pairs = cKDTree(coordinates).query_pairs(cutoff, output_type="ndarray")
        return pairs, np.linalg.norm(coordinates[pairs[:, 0]] - coordinates[pairs[:, 1]], axis=1)

    monkeypatch.setattr(shadow_map, "get_neighbor_pairs_and_distances", close)
    part = chosen(kinase, residues(10, 50))
    (tmp_path / "part.pdb").write_text(to_pdb(part))
    theirs = shadow_map.find_ca_pairs_from_atomistic_pdb(str(tmp_path / "part.pdb"))
    _, ours = GoModel().native(part)
    assert ours.pairs.tolist() == [[int(i), int(j)] for i, j in zip(theirs.a1, theirs.a2, strict=True)]
    assert ours.distances == pytest.approx(theirs.mu.to_numpy(dtype=float), abs=2e-4)


# --- CALVADOS


def sticky(name: str, other: str, r: float, version: int = 2) -> float:
    """Ashbaugh and Hatch's energy of a pair, kJ/mol, as in the paper."""
    one, two = bead_of(name), bead_of(other)
    sigma, stick = (one.sigma + two.sigma) / 2, (one.stickiness[version] + two.stickiness[version]) / 2

    def lj(x: float) -> float:
        return 4 * 0.8368 * ((sigma / x) ** 12 - (sigma / x) ** 6)

    return (lj(r) + 0.8368 * (1 - stick) if r <= 2 ** (1 / 6) * sigma else stick * lj(r)) - stick * lj(STICKY_CUTOFF)


def charged(q: float, r: float, kelvin: float = 300.0) -> float:
    screen = debye_length(kelvin, 0.15)
    return COULOMB * q / permittivity(kelvin) * (np.exp(-r / screen) / r - np.exp(-CHARGE_CUTOFF / screen) / CHARGE_CUTOFF)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("letters", "product"), [("WY", 0.0), ("KE", -1.0), ("RR", 1.0), ("GG", 0.0)])
def test_pair_energies_are_those_of_the_paper(letters: str, product: float, version) -> None:
    """Two residues of two chains, dragged apart: within the core, in the well, and beyond both cutoffs."""
    beads = System(source=FromChains(sequences=(f"GG{letters[0]}GG", f"GG{letters[1]}GG"))).prepare()
    mm = Calvados(version=version).build(beads, beads, 300.0, 7.4)
    far = np.stack([np.arange(10) * 50.0, np.zeros(10), np.zeros(10)], axis=1)
    names = [beads.residues[2].name, beads.residues[7].name]
    for r in (0.42, 0.55, 0.68, 0.9, 1.7, 1.99, 2.5, 3.9, 4.1):
        places = far.copy()
        places[7] = places[2] + [r, 0.0, 0.0]
        parts = energies(mm, places)[2]
        assert parts[2] == pytest.approx(sticky(*names, r, version) if r < STICKY_CUTOFF else 0.0, abs=1e-6)
        assert parts[3] == pytest.approx(charged(product, r) if r < CHARGE_CUTOFF else 0.0, abs=1e-6)


def test_energies_are_those_of_openabc() -> None:
    terms = pytest.importorskip("openabc.forcefields.functional_terms")
    import openmm
    import pandas
    from openmm import unit

    beads = System(source=FromChains(sequences=(IDP,))).prepare()
    mm = Calvados().build(beads, beads, 300.0, 7.4)
    names = sorted({residue.name for residue in beads.residues})
    sigma, stick = (np.array([value(bead_of(name)) for name in names]) for value in (lambda b: b.sigma, lambda b: b.stickiness[2]))
    excluded = pandas.DataFrame(beads.bonds, columns=["a1", "a2"])
    theirs = openmm.System()
    for mass in masses_of(beads):
        theirs.addParticle(mass)
    kinds = [names.index(residue.name) for residue in beads.residues]
    theirs.addForce(terms.ashbaugh_hatch_cutoff_term(
        kinds, excluded, False, 0.8368, (sigma + sigma[:, None]) / 2, (stick + stick[:, None]) / 2, 2.0 * unit.nanometer))  # fmt: skip
    theirs.addForce(terms.dh_elec_term(
        charges_of(beads, 7.4).tolist(), excluded, False, debye_length(300.0, 0.15) * unit.nanometer, permittivity(300.0), 4.0 * unit.nanometer))  # fmt: skip
    ours = energies(mm, beads.positions)[2]
    reference = energies(MMSystem(beads, theirs, {}), beads.positions)[2]
    # openabc ends the stickiness of small residues at four diameters, where it is -0.001 kJ/mol a pair
    assert ours[2] == pytest.approx(reference[0], abs=0.05)
    assert ours[3] == pytest.approx(reference[1], rel=1e-4)


def test_bonds_and_charges_of_a_chain(idp: MMSystem) -> None:
    beads = idp.structure
    straight = np.stack([0.38 * np.arange(71), np.zeros(71), np.zeros(71)], axis=1)
    assert energies(idp, straight)[2][0] == pytest.approx(0.0, abs=1e-9)
    straight[70, 0] += 0.01
    assert energies(idp, straight)[2][0] == pytest.approx(0.5 * 8033.0 * 1e-4, rel=1e-6)
    charges = charges_of(beads, 7.4)
    assert charges[0] == 1.0, "the first end"
    assert charges[-1] == -1.0, "the last"
    histidine = IDP.index("H")
    assert charges[histidine] == pytest.approx(1 / (1 + 10**1.4))
    assert charges_of(beads, 3.0)[histidine] == pytest.approx(0.999, abs=1e-3)
    assert masses_of(beads)[[0, 1, 70]] == pytest.approx([131.2 + 2, 128.17, 163.18 + 16])


def test_water_screens_as_measured() -> None:
    assert permittivity(298.15) == pytest.approx(78.3, abs=0.3), "of water at 25 degrees"
    assert debye_length(298.15, 0.1) == pytest.approx(0.96, abs=0.02), "0.304 nm over the root of the molarity"
    assert debye_length(300.0, 0.15) < debye_length(300.0, 0.05)


def test_the_charge_of_a_histidine_at_an_end_is_counted_once() -> None:
    for prepared in (System(source=FromChains(sequences=("HGH",))).prepare(), System(source=FromSequence(sequence="HGH", n_cap="NH3", c_cap="COO")).prepare()):
        charges = charges_of(map_protein(prepared).beads, 7.4)
        assert charges == pytest.approx([1.038, 0.0, -0.962], abs=1e-3)


def test_folded_domains_are_held_and_the_rest_is_free(domains: MMSystem, kinase: Structure) -> None:
    """At its native centres of mass a domain costs nothing; within it only springs act."""
    places = domains.structure.positions
    parts = energies(domains, places)[2]
    assert parts[1] == pytest.approx(0.0, abs=1e-6)
    springs = domains.system.getForce(1)
    assert springs.getNumBonds() > 150
    members = {bead for index in range(springs.getNumBonds()) for bead in springs.getBondParameters(index)[:2]}
    assert members == set(range(51))
    pair = springs.getBondParameters(0)[:2]
    excluded = {tuple(sorted(domains.system.getForce(2).getExclusionParticles(i))) for i in range(domains.system.getForce(2).getNumExclusions())}
    assert tuple(sorted(pair)) in excluded
    alphas = map_protein(chosen(kinase, residues(10, 85))).beads.positions
    assert (np.linalg.norm(places[:51] - alphas[:51], axis=1) > 0.05).any(), "centres of mass"
    assert places[51:] == pytest.approx(alphas[51:])


def test_a_disordered_chain_has_the_size_of_one() -> None:
    """A sequence without charge or stickiness to speak of: its radius of gyration is that of a coil, about 0.21 nm N^0.57."""
    recipe = Dynamics(system=System(source=FromChains(sequences=("GSTNQ" * 10,))), view=View(resolution="beads", beads=Calvados()), friction=0.01)
    simulation = recipe.simulation()
    frames = [simulation.advance(200) for _ in range(60)][20:]
    sizes = [np.sqrt(((frame.positions - frame.positions.mean(axis=0)) ** 2).sum(axis=1).mean()) for frame in frames]
    assert 1.3 < np.mean(sizes) < 2.8


# --- chains from sequences


def test_coils_avoid_themselves_and_repeat() -> None:
    beads = CHAIN.prepare()
    apart = np.linalg.norm(beads.positions[:, None] - beads.positions[None], axis=2)
    assert np.diag(apart, 1) == pytest.approx(0.38)
    assert apart[np.triu_indices(71, 2)].min() > 0.48
    assert System(source=FromChains(sequences=(IDP,))).source.build(7.4, 0, CHAIN.repairs).key == beads.key
    assert System(source=FromChains(sequences=(IDP,)), seed=1).prepare().key != beads.key
    straight = System(source=FromChains(sequences=(IDP,), shape="extended")).prepare()
    assert np.linalg.norm(straight.positions[-1] - straight.positions[0]) > 20.0


def test_chains_in_a_box_move_and_stay_apart() -> None:
    system = System(source=FromChains(sequences=(IDP[:20],) * 4, box_nm=12.0))
    recipe = Dynamics(system=system, view=View(resolution="beads", beads=Calvados()), friction=0.01)
    simulation = recipe.simulation()
    frame = simulation.advance(200)
    assert frame.box is not None
    assert simulation.model.system.usesPeriodicBoundaryConditions()
    assert [residue.chain for residue in simulation.structure.residues[::20]] == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"sequences": ("GGB",)}, "Letter 3, 'B', is no amino acid"),
        ({"sequences": ("G",)}, "at least 2 residues"),
        ({"sequences": ("G" * 3000, "G" * 3000)}, "up to 5,000 residues"),
        ({"sequences": ("GG",) * 70}, "1 to 62 chains"),
        ({"sequences": (IDP,), "shape": "extended", "box_nm": 5.0}, "has no room"),
    ],
)
def test_chains_that_cannot_be_are_refused(source: dict[str, object], says: str) -> None:
    with pytest.raises(StructureError, match=says):
        System(source=FromChains.model_validate(source)).prepare()


def test_refusals(kinase: Structure) -> None:
    beads = CHAIN.prepare()
    with pytest.raises(UnsupportedError, match="these are beads"):
        GoModel().build(beads, beads, 300.0, 7.4)
    with pytest.raises(RegionError, match=r"domain 2 holds none\. There are the residues"):
        Calvados(version=3, of=residues(10, 85), domains=(residues(10, 60), residues(4000, 4009))).build(kinase, kinase, 300.0, 7.4)
    with pytest.raises(UnsupportedError, match="Folded domains need the atoms"):
        Calvados(version=3, domains=(residues(1, 9),)).build(beads, beads, 300.0, 7.4)
    with pytest.raises(UnsupportedError, match="These are beads"):
        CHAIN.parametrise()
    with pytest.raises(UnsupportedError, match="needs atoms"):
        View(resolution="nnp").build(CHAIN, beads)
    with pytest.raises(UnsupportedError, match="at least 4 residues"):
        GoModel(of=residues(10, 12)).build(kinase, kinase, 300.0, 7.4)
    stretched = System(source=FromSequence(sequence="GGGGGGGG", shape="extended")).prepare()
    with pytest.raises(UnsupportedError, match="No residues touch"):
        GoModel().build(stretched, stretched, 300.0, 7.4)
    small = System(source=FromChains(sequences=("GGGG",), box_nm=5.0))
    with pytest.raises(StructureError, match="twice as wide"):
        Calvados().build(small.prepare(), small.prepare(), 300.0, 7.4)
    with pytest.raises(ValidationError, match="choose surroundings = vacuum"):
        System(source=CHAIN.source, surroundings=WaterBox())
    with pytest.raises(ValidationError, match="belong to CALVADOS 3"):
        Calvados(domains=(residues(1, 2),))


# --- as a run


def test_a_run_of_beads_is_recorded_replayed_and_continued(tmp_path: Path) -> None:
    view = View(resolution="beads", beads=GoModel(of=residues(10, 85)))
    recipe = Dynamics(system=KINASE, view=view, friction=0.1, steps=400, interval=100)
    result = recipe.run(folder=tmp_path)
    assert result.ok, result.failure
    assert result.provenance["coarse_model"] == "Go, C-alpha"
    assert result.provenance["openmm_platform"] == "CPU"
    assert any("CG time" in note for note in result.notes)
    replay = Replay(tmp_path)
    assert (len(replay), len(replay.structure)) == (5, 76)
    for told in (result.values, result.arrays, replay.table, json.loads((tmp_path / "provenance.json").read_text())["values"]):
        assert ("cg_time_ps" in told, "time_ps" in told) == (True, False), "CG time that is called time is taken for that of atoms"
    assert "ps CG time" in script_of(recipe, tmp_path)
    assert replay.frame(-1).time == pytest.approx(4.0), "400 steps of 10 fs"
    assert (tmp_path / "topology.pdb").read_text().count(" CA ") == 76
    again = recipe.model_copy(update={"steps": 600}).run(folder=tmp_path)
    assert again.ok, again.failure
    assert len(Replay(tmp_path)) == 7


def test_beads_stream_from_a_worker_like_any_run() -> None:
    recipe = Dynamics(system=CHAIN, view=View(resolution="beads", beads=Calvados()), friction=0.01, steps=2000, interval=100)
    with Run(recipe) as run:
        run.wait("paused")
        run.play()
        frame = next_frame(run, after=500)
    assert frame.positions.shape == (71, 3)
    assert frame.timestep == 10.0
