"""Levels: the contract of every entry of the dial, what each refuses, and how positions come along when it is turned."""

from dataclasses import replace
from importlib.metadata import EntryPoint
from time import perf_counter

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from studio import plugins
from studio.carry import CROWDED, carry_atoms
from studio.errors import PluginError, UnsupportedError
from studio.hybrid.boundary import cap
from studio.hybrid.view import MLFragment, View
from studio.levels import ContinuumLevel, Level, Limits, level, level_of, levels
from studio.observables import RMSD
from studio.recipes.dynamics import Dynamics
from studio.region import All, Atoms, KindIs, Ligand, SideChain
from studio.structure import Structure
from studio.system import EXAMPLES, FromChains, FromExample, FromSequence, FromSmiles, FromTarget, Implicit, System, Vacuum, WaterBox, example

LIGAND_IN_WATER = example("tyk2-water").system
HOME = Dynamics(system=LIGAND_IN_WATER, view=View(resolution="nnp/mm"))
BEADS = ("martini3", "go-ca", "calvados2")


@pytest.fixture(scope="module")
def box() -> Structure:
    return LIGAND_IN_WATER.prepare()


@pytest.fixture(scope="module")
def pocket() -> Structure:
    return example("tyk2-pocket").system.prepare()


def shaken(structure: Structure, nm: float = 0.01, seed: int = 0) -> Structure:
    return structure.with_positions(structure.positions + nm * np.random.default_rng(seed).normal(size=structure.positions.shape))


def turned(positions: np.ndarray, seed: int = 0) -> np.ndarray:
    """Somewhere else, in another orientation."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return positions @ (turn * np.sign(np.linalg.det(turn))) + 7.0


# --- the contract, over every registered level


def test_the_dial_goes_from_fine_to_coarse() -> None:
    names = [one.name for one in levels()]
    assert [name for name in names if name != "learned"] == ["nnp", "nnp/mm", "mm", "mm-implicit", "martini3", "go-ca", "calvados2"]
    assert set(names) <= set(plugins.names("studio.levels"))
    assert [one.rank for one in levels()] == sorted(one.rank for one in levels())


@pytest.mark.parametrize("name", plugins.names("studio.levels"))
def test_contract(name: str, box: Structure) -> None:
    one = level(name)
    assert isinstance(one, Level)
    assert one.name == name
    assert one.title
    assert one.meaning.endswith(".")
    limits = one.limits(LIGAND_IN_WATER, box, HOME.view)
    assert isinstance(limits, Limits)
    assert limits.possible != (name in (*BEADS, "learned")), "a ligand in water can be seen at every level of atoms, and holds no protein"
    assert limits.possible == (one.particles(box, HOME.view) > 0)
    assert not limits.blocking or limits.blocking.endswith(".")
    assert not limits.advice or limits.advice.endswith(".")
    there = one.apply(HOME)
    assert one.apply(there) == there, "applying a level twice changes nothing more"
    assert Dynamics.model_validate_json(there.to_json()) == there
    assert there.system.source == HOME.system.source
    assert (there.temperature, there.seed, there.view.region) == (HOME.temperature, HOME.seed, HOME.view.region)


@pytest.mark.parametrize("name", plugins.names("studio.levels"))
def test_contract_of_carrying(name: str, box: Structure) -> None:
    """From what every other level moves: either a start with the target's atoms and finite positions, or a sentence."""
    target = level(name).apply(HOME).system.prepare()
    for now in (box, box.take(Ligand().select(box)), Structure.from_smiles("[Xe]")):
        try:
            carried = level(name).carry(now, target)
        except UnsupportedError:
            continue
        assert len(carried.structure) == len(target)
        assert carried.structure.names == target.names
        assert np.isfinite(carried.structure.positions).all()
        assert carried.sentence.endswith(".")
        assert 0 < carried.atoms <= len(target)


@pytest.mark.parametrize("name", ["nnp", "nnp/mm", "mm", "mm-implicit", *BEADS])
def test_a_recipe_knows_its_level(name: str) -> None:
    found = level_of(level(name).apply(HOME))
    assert found is not None
    assert found.name == name


def test_an_unknown_level_and_one_that_is_none_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PluginError, match="No level is called 'nmp'"):
        level("nmp")
    real = plugins.entry_points
    false = EntryPoint("false", "studio.system:Vacuum", "studio.levels")
    monkeypatch.setattr(plugins, "entry_points", lambda group: (*real(group=group), false) if group == "studio.levels" else real(group=group))
    with pytest.raises(PluginError, match="is not a level"):
        level("false")
    assert "false" not in [one.name for one in levels()]


# --- what the built-in ones say


def test_particles_are_those_that_move_or_hold(box: Structure, pocket: Structure) -> None:
    ligand = len(Ligand().select(box))
    assert {one.name: one.particles(box, HOME.view) for one in levels()[:4]} == {"nnp": ligand, "nnp/mm": len(box), "mm": len(box), "mm-implicit": ligand}
    mobile = pocket.residues[int(pocket.residue_index[np.flatnonzero(~pocket.fixed & SideChain().mask(pocket))[0]])]
    chain = SideChain(chain=mobile.chain, number=mobile.number)
    assert level("nnp").particles(pocket, View(region=chain)) == len(chain.select(pocket)) + 1, "one link hydrogen"
    assert level("nnp").particles(box, View(region=Atoms(indices=(10**6,)))) == 0


def test_switching_keeps_a_time_step_only_where_it_fits() -> None:
    chosen = HOME.model_copy(update={"timestep": 3.0})
    assert level("nnp/mm").apply(chosen).timestep == 3.0
    assert level("nnp").apply(chosen).timestep is None


def test_continuum_water_replaces_what_was_around() -> None:
    there = level("mm-implicit").apply(HOME)
    assert isinstance(there.system.surroundings, Implicit)
    assert there.view.resolution == "mm"
    own = Dynamics(system=System(source=FromSmiles(smiles="CCO"), surroundings=Implicit(model="obc2")))
    assert level("mm-implicit").apply(own) == own, "the model that was chosen stays"


@pytest.mark.parametrize(
    ("name", "system", "view", "says"),
    [
        ("nnp/mm", System(source=FromSmiles(smiles="CCO")), View(), "The region holds every atom"),
        ("nnp", System(source=FromSmiles(smiles="CC[Si](C)(C)C")), View(), "SO3LR does not know Si"),
        ("nnp/mm", System(source=FromSmiles(smiles="CCO.O"), surroundings=Vacuum()), View(region=KindIs(of="protein")), "selects no atom"),
        ("mm", System(source=FromSmiles(smiles="CC[Si](C)(C)C")), View(), "does not know the element of Si"),
        ("mm", System(source=FromSmiles(smiles="[CH3]")), View(), "closed shells only"),
        ("nnp", System(source=FromSmiles(smiles="[CH3]")), View(potential="aimnet2"), "closed-shell molecules only"),
    ],
)
def test_what_cannot_be_done_is_blocking(name: str, system: System, view: View, says: str) -> None:
    limits = level(name).limits(system, system.prepare(), view)
    assert not limits.possible
    assert says in limits.blocking
    assert str(limits) == limits.blocking


def test_a_second_fragment_is_checked_too(box: Structure) -> None:
    water = Atoms(indices=(len(box) - 3,))
    view = View(region=Ligand(), also=(MLFragment(region=water),))
    assert "The region cuts a bond to hydrogen" in level("nnp/mm").limits(LIGAND_IN_WATER, box, view).blocking
    assert "Only the first of 2 ML regions" in level("nnp").limits(LIGAND_IN_WATER, box, view).advice


def test_continuum_water_is_refused_for_pockets_and_large_solutes(pocket: Structure, box: Structure) -> None:
    continuum = ContinuumLevel()
    assert "pocket is cut out" in continuum.limits(EXAMPLES["tyk2-pocket"].system, pocket, View()).blocking
    whole = System(source=FromExample(name="tyk2-complex"))
    assert "up to 1,500 atoms" in continuum.limits(whole, whole.prepare(), View()).blocking
    water = box.take(box.atoms_of("water"))
    assert "no solute" in continuum.limits(LIGAND_IN_WATER, water, View()).blocking


# --- carrying positions


def test_the_same_atoms_keep_their_places(box: Structure) -> None:
    now = shaken(box)
    carried = carry_atoms(now, box)
    assert carried.structure.positions == pytest.approx(now.positions)
    assert carried.sentence.startswith("All 1,034 atoms keep their places.")


def test_molecules_that_a_box_has_cut_are_whole_again(box: Structure) -> None:
    """Bonds of the force field know no images, so that a start with halves on both sides of the box would explode."""
    assert box.box is not None
    scattered = box.with_positions(box.positions + np.random.default_rng(2).integers(-1, 2, size=(len(box), 3)) @ box.box)
    start = carry_atoms(scattered, box).structure.positions
    lengths = np.linalg.norm(start[box.bonds[:, 0]] - start[box.bonds[:, 1]], axis=1)
    assert lengths.max() < 0.25


def test_a_ligand_comes_out_of_its_box_whole(box: Structure) -> None:
    """The box has cut the ligand in two: its images are scattered, and the ligand alone has to be in one piece."""
    assert box.box is not None
    rng = np.random.default_rng(1)
    scattered = replace(box, positions=shaken(box).positions + rng.integers(-1, 2, size=(len(box), 3)) @ box.box)
    target = level("mm-implicit").apply(HOME).system.prepare()
    carried = carry_atoms(scattered, target)
    ligand = Ligand().select(box)
    assert RMSD.of(shaken(box), ligand)(np.concatenate([carried.structure.positions, np.zeros((len(box) - len(ligand), 3))])) == pytest.approx(0.0, abs=1e-4)
    assert carried.structure.box is None
    assert "1,002 atoms around them were left behind" in carried.sentence


def test_a_ligand_goes_back_into_its_last_surroundings(box: Structure) -> None:
    """It was alone, wandered off, turned and changed its shape a little: it returns to its place with that shape; waters stay."""
    ligand, last = Ligand().select(box), shaken(box, 0.002, seed=3)
    alone = box.take(ligand)
    alone = replace(alone, box=None, positions=turned(shaken(alone, 0.005).positions))
    carried = carry_atoms(alone, last)
    back = carried.structure
    assert RMSD.of(alone, np.arange(len(alone)))(back.positions[ligand]) == pytest.approx(0.0, abs=1e-5), "its shape"
    assert np.abs(back.positions[ligand].mean(axis=0) - last.positions[ligand].mean(axis=0)).max() < 1e-9, "its place"
    assert np.linalg.norm(back.positions[ligand] - last.positions[ligand], axis=1).max() < 0.05, "its orientation"
    assert carried.atoms == len(ligand)
    assert "superposed on their last known surroundings" in carried.sentence
    water = back.atoms_of("water")
    moved = np.abs(back.positions[water] - last.positions[water]).max(axis=1) > 1e-9
    assert moved.sum() < 30


def test_waters_in_the_way_make_room_and_the_system_can_be_run(box: Structure) -> None:
    """Alone, the ligand turned half of itself about a bond, into waters; the minimisation has to end at a sane energy."""
    ligand = Ligand().select(box)
    alone = box.take(ligand)
    mol = alone.to_rdkit()
    i, j, k, m = mol.GetSubstructMatches(Chem.MolFromSmarts("c:c-!@[#7]-!@[#6]"))[0]
    bent = mol.GetConformer()
    rdMolTransforms.SetDihedralDeg(bent, i, j, k, m, rdMolTransforms.GetDihedralDeg(bent, i, j, k, m) + 100.0)
    carried = carry_atoms(replace(alone, box=None, positions=turned(0.1 * bent.GetPositions())), box)
    assert "in the way made room" in carried.sentence
    back, water = carried.structure, box.atoms_of("water")
    gaps = np.linalg.norm(back.positions[water][:, None] - back.positions[ligand][None], axis=2)
    assert gaps.min() > 0.7 * CROWDED
    lengths = [np.linalg.norm(place.positions[box.bonds[:, 0]] - place.positions[box.bonds[:, 1]], axis=1) for place in (back, box)]
    of_water = np.isin(box.bonds[:, 0], water)
    assert lengths[0][of_water] == pytest.approx(lengths[1][of_water]), "waters are moved as a whole"
    simulation = level("mm").apply(HOME).simulation(back)
    frame = simulation.advance(20)
    assert frame.energies["potential"] < 0.0
    assert frame.temperature < 500.0


def test_link_hydrogens_stay_behind(pocket: Structure) -> None:
    mobile = pocket.residues[int(pocket.residue_index[np.flatnonzero(~pocket.fixed & SideChain().mask(pocket))[0]])]
    atoms = SideChain(chain=mobile.chain, number=mobile.number).select(pocket)
    part = cap(pocket, atoms).structure
    carried = carry_atoms(part.with_positions(turned(part.positions)), pocket)
    assert carried.atoms == len(atoms) == len(part) - 1
    assert carried.structure.positions[atoms] == pytest.approx(pocket.positions[atoms], abs=1e-6)


def test_a_shape_that_has_no_room_is_refused(pocket: Structure) -> None:
    """The ligand comes back twice as large, through the wall of its pocket."""
    ligand = Ligand().select(pocket)
    alone = pocket.take(ligand)
    with pytest.raises(UnsupportedError, match="would overlap with"):
        carry_atoms(alone.with_positions(2.0 * alone.positions), pocket)


def test_frozen_atoms_are_never_moved(pocket: Structure) -> None:
    region = np.flatnonzero(pocket.fixed)[:30]
    part = pocket.take(region)
    carried = carry_atoms(part.with_positions(turned(part.positions)), pocket)
    assert (carried.structure.positions[pocket.fixed] == pocket.positions[pocket.fixed]).all()


def test_another_molecule_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="No atom of what runs now"):
        carry_atoms(Structure.from_smiles("CCO"), System(source=FromExample(name="alanine-dipeptide"), surroundings=WaterBox(padding_nm=0.65)).prepare())


def test_equal_names_are_told_apart_by_order() -> None:
    """Two ethanols that a file calls the same: each keeps its own place, and no atom of one ends in the other."""
    one = Structure.from_smiles("CCO")
    two = one.join(one.with_positions(one.positions + 1.0))
    now = shaken(two)
    assert carry_atoms(now, two).structure.positions == pytest.approx(now.positions)


def test_carrying_thousands_of_atoms_is_quick() -> None:
    structure = System(source=FromExample(name="tyk2-complex")).prepare()
    start = perf_counter()
    carry_atoms(structure, structure)
    assert perf_counter() - start < 2.0


def test_everything_by_the_network_needs_no_advice() -> None:
    system = System(source=FromSmiles(smiles="CCO"))
    assert level("nnp").limits(system, system.prepare(), View(region=All())) == Limits()


# --- beads


def test_a_protein_can_be_beads_and_what_is_left_out_is_told() -> None:
    system = System(source=FromTarget(target="tyk2", ligand="ejm_31"))
    structure = system.prepare()
    for name in BEADS:
        found = level(name)
        limits = found.limits(system, structure, View())
        assert limits.possible
        assert "The ligand is left out." in limits.advice
        assert found.particles(structure, View()) == 288 or name == "martini3", "one a residue, caps aside"
        there = found.apply(Dynamics(system=system))
        assert not there.view.asks_network
        assert there.view.clock == "CG time"
    assert "comes apart" in level("calvados2").limits(system, structure, View()).advice


def test_beads_do_without_the_water_of_their_home() -> None:
    home = Dynamics(system=System(source=FromSequence(sequence="GGAAGG"), surroundings=WaterBox()))
    there = level("go-ca").apply(home)
    assert isinstance(there.system.surroundings, Vacuum)
    assert there.friction < home.friction


def test_chains_without_atoms_are_seen_as_beads_only() -> None:
    system = System(source=FromChains(sequences=("GSTNQKEDYF" * 2,)))
    structure = system.prepare()
    possible = {one.name: one.limits(system, structure, View()).possible for one in levels()}
    assert [name for name, can in possible.items() if can] == ["calvados2"]
    assert level("mm").limits(system, structure, View()).blocking.startswith("These are beads")
    assert "no native structure" in level("go-ca").limits(system, structure, View()).blocking


def test_what_is_no_bead_is_blocking() -> None:
    ethanol = System(source=FromSmiles(smiles="CCO"))
    assert "Beads stand for amino acids, and there is none here" in level("go-ca").limits(ethanol, ethanol.prepare(), View()).blocking
