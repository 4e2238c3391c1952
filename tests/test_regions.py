"""Regions: what the selections pick, the language in which people type them, and the card that tells what they are."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from studio import plugins
from studio.errors import RegionError
from studio.hybrid.view import View
from studio.region import (
    All,
    Atoms,
    Difference,
    ElementIs,
    Focus,
    Intersection,
    KindIs,
    Ligand,
    NameIs,
    Near,
    Region,
    ResidueIs,
    ResidueRange,
    SideChain,
    Smarts,
    Solute,
    Union,
    Whole,
)
from studio.region_card import describe
from studio.region_text import HELP, RegionTextError, parse, to_text
from studio.structure import Structure
from studio.system import FromExample, System, example

SAID = {
    "ligand": Ligand(),
    "Protein": KindIs(of="protein"),
    "waters": KindIs(of="water"),
    "ions": KindIs(of="ion"),
    "all": All(),
    "solute": Solute(),
    "focus": Focus(),
    "within 4 of ligand": Near(of=Ligand(), nm=0.4),
    "within 3.5 angstrom of (ligand or water)": Near(of=Ligand() | KindIs(of="water"), nm=0.35),
    "molecules within 3 of ligand": Near(of=Ligand(), nm=0.3, whole="molecule"),
    "resname GLY": ResidueIs(name="GLY"),
    "resname GLY, ALA": ResidueIs(name="GLY") | ResidueIs(name="ALA"),
    "residue A:981": ResidueIs(chain="A", number="981"),
    "residue 981": ResidueIs(number="981"),
    "residue -3": ResidueIs(number="-3"),
    "residue 52A": ResidueIs(number="52A"),
    "residue [LYS]A:93": ResidueIs(name="LYS", chain="A", number="93"),
    "residue [LYS]A:": ResidueIs(name="LYS", chain="A"),
    "residues A:90-95": ResidueRange(first=90, last=95, chain="A"),
    "residues -2-4": ResidueRange(first=-2, last=4),
    "residues A:90-95, B:7": ResidueRange(first=90, last=95, chain="A") | ResidueIs(chain="B", number="7"),
    "chain A": ResidueIs(chain="A"),
    'chain ""': ResidueIs(chain=""),
    "chain 'or'": ResidueIs(chain="or"),
    "sidechain A:93": SideChain(chain="A", number="93"),
    "sidechain": SideChain(),
    "sidechain [LYS]": SideChain(name="LYS"),
    'smarts "c1ccccc1"': Smarts(pattern="c1ccccc1"),
    "smarts '[$([#6]=O)]'": Smarts(pattern="[$([#6]=O)]"),
    "atoms 1,2,5-9": Atoms(indices=(0, 1, 4, 5, 6, 7, 8)),
    "element C, Cl": ElementIs(symbols=("C", "Cl")),
    "name CA,HO5'": NameIs(names=("CA", "HO5'")),
    "residue of atoms 7": Whole(of=Atoms(indices=(6,))),
    "molecule of atoms 7": Whole(of=Atoms(indices=(6,)), whole="molecule"),
    "not water": Difference(whole=All(), without=KindIs(of="water")),
    "ligand or chain A and resname GLY": Union(parts=(Ligand(), Intersection(parts=(ResidueIs(chain="A"), ResidueIs(name="GLY"))))),
    "ligand or water minus element H": Difference(whole=Ligand() | KindIs(of="water"), without=ElementIs(symbols=("H",))),
    "ligand minus element H or ions": Union(parts=(Difference(whole=Ligand(), without=ElementIs(symbols=("H",))), KindIs(of="ion"))),
    "ligand minus (element H or element F)": Difference(whole=Ligand(), without=ElementIs(symbols=("H",)) | ElementIs(symbols=("F",))),
}


@pytest.fixture(scope="module")
def pocket() -> Structure:
    return example("tyk2-pocket").system.prepare()


@pytest.mark.parametrize(("text", "region"), [pytest.param(*pair, id=pair[0]) for pair in SAID.items() if "HO5'" not in pair[0]])
def test_what_is_typed_is_the_region_and_comes_back(text: str, region: Region) -> None:
    assert parse(text) == region
    assert parse(to_text(region)) == region
    assert to_text(parse(to_text(region))) == to_text(region)


def test_names_with_quotes_in_them_come_back() -> None:
    region = NameIs(names=("CA", "HO5'"))
    assert parse(to_text(region)) == region


def test_text_of_nested_sums_is_short_and_selects_the_same(pocket: Structure) -> None:
    region = Ligand() | ResidueIs(number="93") | Near(of=Ligand()) | Atoms(indices=(3,))
    text = to_text(region)
    assert text == "ligand or residue 93 or within 4 of ligand or atoms 4"
    assert (parse(text).mask(pocket) == region.mask(pocket)).all()


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("ligad", 0, "Did you mean 'ligand'?"),
        ("ligand or watr", 10, "Did you mean 'water'?"),
        ("ligand andd water", 7, "Did you mean 'and'?"),
        ("", 0, "got the end"),
        ("ligand or", 9, "got the end"),
        ("(ligand", 7, "expected ')'"),
        ("within four of ligand", 7, "a distance above 0"),
        ("within -4 of ligand", 7, "a distance above 0"),
        ("within nan of ligand", 7, "a distance above 0"),
        ("within 4 ligand", 9, "expected 'of'"),
        ("residue", 7, "A:93"),
        ("residue GLY", 8, "resname"),
        ("residues 95-90", 9, "A:90-95"),
        ("atoms 0", 6, "counted from 1"),
        ("atoms 9-5", 6, "the lower one first"),
        ("atoms 1-99999999999", 6, "counted from 1"),
        ("smarts c1ccccc1", 7, "quotation marks"),
        ('smarts "c1cc', 7, "never closed"),
        ("molecule 5", 9, "molecule of atoms 7"),
        ("ligand)", 6, "or the end"),
        ("(" * 500, 40, "levels of nesting"),
        ("not " * 500, 160, "levels of nesting"),
        ("ligand or " * 500, 4000, "at most 4,000 characters"),
        ("__import__('os')", 0, "expected a selection"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, place: int, says: str) -> None:
    with pytest.raises(RegionTextError, match=says.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")) as caught:
        parse(text)
    assert caught.value.start == place
    assert caught.value.start <= caught.value.end


def test_help_names_every_word_that_it_explains() -> None:
    for said in ("within 4 of ligand", "resname GLY", "residues A:90-95,A:99", "sidechain A:93", "atoms 1,2,5-9", 'smarts "c1ccccc1"', "residue of atoms 7"):
        assert said in HELP
        parse(said)


def test_atoms_are_counted_as_in_labels(pocket: Structure) -> None:
    atom = int(parse("atoms 7").select(pocket)[0])
    assert pocket.label(atom).endswith("(atom 7)")


def test_selections_of_a_real_pocket(pocket: Structure) -> None:
    oxygen = parse("water and element O").select(pocket)
    assert (pocket.numbers[oxygen] == 8).all()
    assert len(oxygen) * 3 == parse("water").mask(pocket).sum()
    alpha = parse("name ca and protein").select(pocket)
    assert {pocket.names[i] for i in alpha} == {"CA"}
    assert (parse("not water").mask(pocket) == ~parse("water").mask(pocket)).all()
    one = parse(f"atoms {oxygen[0] + 1}")
    assert len(Whole(of=one, whole="molecule").select(pocket)) == 3
    assert (Whole(of=one).mask(pocket) == Whole(of=one, whole="molecule").mask(pocket)).all()
    chain, numbers = pocket.residues[3].chain, [pocket.residues[k].number for k in (3, 4, 5)]
    between = parse(f"residues {chain}:{numbers[0]}-{numbers[2]}")
    assert set(pocket.residue_index[between.select(pocket)]) >= {3, 4, 5}
    assert (parse("resname lig").mask(pocket) == parse("resname LIG").mask(pocket)).all()


def test_smarts_takes_hydrogens_along_and_agrees_with_rdkit(pocket: Structure) -> None:
    ring = parse('smarts "c1ccccc1" and ligand').select(pocket)
    heavy = parse('ligand and smarts "c1ccccc1" minus element H').select(pocket)
    ligand = Ligand().select(pocket)
    found = pocket.take(ligand).to_rdkit().GetSubstructMatches(Chem.MolFromSmarts("c1ccccc1"))
    assert set(ligand[[atom for match in found for atom in match]]) == set(heavy.tolist())
    assert set(pocket.numbers[np.setdiff1d(ring, heavy)]) == {1}


def test_smarts_that_cannot_be_used_are_refused(pocket: Structure) -> None:
    with pytest.raises(RegionError, match="not a SMARTS pattern"):
        Smarts(pattern="c1ccc(").mask(pocket)
    with pytest.raises(RegionError, match="not an element"):
        ElementIs(symbols=("Xx",)).mask(pocket)
    with pytest.raises(RegionError, match="matches more than"):
        Smarts(pattern="[#6].[#6]").mask(pocket)


def test_smarts_skips_molecules_without_bond_orders(aspirin: Structure) -> None:
    vague = replace(aspirin, bond_orders=np.zeros(len(aspirin.bonds)))
    with pytest.raises(RegionError, match="need bond orders"):
        Smarts(pattern="[#6]").mask(vague)
    both = vague.join(aspirin)
    assert (Smarts(pattern="c1ccccc1").select(both) >= len(vague)).all()


def test_an_empty_intersection_says_what_and_means(pocket: Structure) -> None:
    with pytest.raises(RegionError, match="'or' joins them"):
        parse("ligand and within 4 of ligand").select(pocket)


@pytest.mark.parametrize("region", SAID.values(), ids=str)
def test_regions_survive_json(region: Region) -> None:
    view = View(region=region)
    assert View.model_validate_json(view.model_dump_json()) == view


def test_the_card_of_a_ligand_in_its_pocket(pocket: Structure) -> None:
    card = describe(pocket, Ligand())
    assert card.formula == rdMolDescriptors.CalcMolFormula(pocket.take(Ligand().select(pocket)).to_rdkit())
    assert (card.charge, card.multiplicity, card.cuts, card.refusal) == (0, 1, (), "")
    assert card.sentence.startswith(f"{len(card.atoms)} atoms, {card.formula}, charge +0")
    so3lr = card.ability("so3lr")
    assert so3lr is not None
    assert so3lr.able
    assert {ability.card.name for ability in card.potentials} == set(plugins.names("studio.potentials"))
    assert all(ability.able != bool(ability.reason) for ability in card.potentials)
    assert [ability.able for ability in card.potentials] == sorted((ability.able for ability in card.potentials), reverse=True)


def test_the_card_tells_cut_bonds_and_what_may_not_be_cut(pocket: Structure) -> None:
    mobile = pocket.residues[int(pocket.residue_index[np.flatnonzero(~pocket.fixed & parse("protein and name CB").mask(pocket))[0]])]
    card = describe(pocket, SideChain(chain=mobile.chain, number=mobile.number))
    assert not card.refusal
    assert [(pocket.names[cut.inner], pocket.names[cut.outer]) for cut in card.cuts] == [("CB", "CA")]
    assert "(atom" in card.cuts[0].label
    ring = describe(pocket, Atoms(indices=tuple(parse('ligand and smarts "c1ccccc1"').select(pocket)[:2].tolist())))
    assert ring.refusal.startswith("The region cuts ")
    assert len(ring.cuts) >= 2
    assert not any(ability.able for ability in ring.potentials)
    held = describe(pocket, Atoms(indices=(int(np.flatnonzero(pocket.fixed)[0]),)))
    assert "held fixed" in held.refusal


def test_the_side_chains_around_a_ligand_can_be_described_as_the_help_says(pocket: Structure) -> None:
    text = "ligand or within 4 of ligand and sidechain minus resname PRO"
    assert text in HELP
    card = describe(pocket, parse(text))
    assert not card.refusal
    assert {(pocket.names[cut.inner], pocket.names[cut.outer]) for cut in card.cuts} == {("CB", "CA")}
    assert len(card.cuts) > 3
    assert any(ability.able for ability in card.potentials)


@pytest.mark.parametrize(
    ("charge", "multiplicity", "says"),
    [(1, None, "electrons cannot have multiplicity 1"), (None, 3, "closed-shell"), (None, 2, "electrons cannot have multiplicity 2"), (2, None, "")],
)
def test_charge_and_spin_that_are_told_are_checked(aspirin: Structure, charge: int | None, multiplicity: int | None, says: str) -> None:
    card = describe(aspirin, Ligand(), charge, multiplicity)
    assert card.charge == (charge or 0)
    ability = card.ability("so3lr")
    assert ability is not None
    assert says in ability.reason
    assert ability.able == (not says)


def test_foreign_elements_and_size_are_reasons() -> None:
    boron = describe(Structure.from_smiles("OB(O)c1ccccc1"), All())
    so3lr, aimnet2 = boron.ability("so3lr"), boron.ability("aimnet2")
    assert so3lr is not None
    assert aimnet2 is not None
    assert "does not know B" in so3lr.reason
    assert aimnet2.able
    big = describe(example("tyk2-water").system.prepare(), All()).ability("aimnet2")
    assert big is not None
    assert "for up to 500 atoms" in big.reason


def test_an_empty_region_has_a_card_too(aspirin: Structure) -> None:
    card = describe(aspirin, KindIs(of="water"))
    assert "selects no atom" in card.refusal
    assert card.sentence == "no atoms"
    assert card.formula == ""


def test_hill_order() -> None:
    assert describe(Structure.from_smiles("O"), All()).formula == "H2O"
    assert describe(Structure.from_smiles("ClCCBr"), All()).formula == "C2H4BrCl"


def test_a_card_is_quick_enough_to_follow_the_mouse() -> None:
    """A hundredth of a second is meant; a second would be felt at every click."""
    structure = System(source=FromExample(name="tyk2-complex")).prepare()
    describe(structure, Ligand())
    start = perf_counter()
    describe(structure, Ligand())
    assert perf_counter() - start < 1.0
