"""The models that OpenMM-ML 1.8 knows by name: what each is, needs and allows, as a table.

Facts come from the models' papers, model cards and licences; where files are kept, from OpenMM-ML's and the models' own
source. Data only: nothing here imports or downloads anything. `openmmml` runs them.
"""

from dataclasses import replace
from typing import NamedTuple

from rdkit.Chem import GetPeriodicTable

from studio.potentials.base import Card


class Row(NamedTuple):
    """One model.

    Args:
        card: What it is and can do.
        local: The name under which OpenMM-ML takes a local file of this kind; empty where it takes none.
        argument: How OpenMM-ML calls the path of a local file.
        sha256: Hash of the published file, where its publisher states one.
    """

    card: Card
    local: str = ""
    argument: str = "modelPath"
    sha256: str = ""


def _symbols(*ranges: range) -> tuple[str, ...]:
    return tuple(GetPeriodicTable().GetElementSymbol(z) for numbers in ranges for z in numbers)


ORGANIC = ("H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
SPICE2 = ("H", "Li", "B", "C", "N", "O", "F", "Na", "Mg", "Si", "P", "S", "Cl", "K", "Ca", "Br", "I")
MATERIALS = _symbols(range(1, 84), range(89, 95))
OMOL = _symbols(range(1, 84))
ACADEMIC = "Academic Software License (not for commercial use)"
ADAPTER = "openmmml==1.8"

PLAIN = Card(
    name="", title="", elements=(), charged=False, open_shell=False, partial_charges=False, method="", licence="MIT", citation="", doi="", packages=(ADAPTER,)
)

ANI2X = replace(
    PLAIN,
    name="ani2x",
    title="ANI-2x",
    elements=("H", "C", "N", "O", "F", "S", "Cl"),
    method="wB97X/6-31G(d)",
    citation="Devereux et al., J. Chem. Theory Comput. 2020, 16, 4192",
    doi="10.1021/acs.jctc.0c00121",
    packages=(ADAPTER, "torchani"),
    file="~/.local/share/Torchani/StateDicts/ani2x_state_dict.pt",
    source="https://huggingface.co/roitberg-group/ani2x/resolve/main/ani2x_state_dict.pt",
)
ANI1CCX = replace(
    ANI2X,
    name="ani1ccx",
    title="ANI-1ccx",
    elements=("H", "C", "N", "O"),
    method="CCSD(T)*/CBS",
    citation="Smith et al., Nat. Commun. 2019, 10, 2903",
    doi="10.1038/s41467-019-10827-4",
    file="~/.local/share/Torchani/StateDicts/ani1ccx_state_dict.pt",
    source="https://huggingface.co/roitberg-group/ani1ccx/resolve/main/ani1ccx_state_dict.pt",
)

MACE = replace(PLAIN, max_atoms=500, packages=(ADAPTER, "mace-torch"))
OFF = replace(
    MACE,
    elements=ORGANIC,
    method="wB97M-D3(BJ)/def2-TZVPPD",
    licence=ACADEMIC,
    commercial=False,
    citation="Kovacs et al., J. Am. Chem. Soc. 2025, 147, 17598",
    doi="10.1021/jacs.4c07099",
)
OFF_HOME = "https://github.com/ACEsuit/mace-off/raw/main"
SOLIDS = replace(
    MACE,
    elements=MATERIALS,
    method="PBE(+U)",
    citation="Batatia et al., A foundation model for atomistic materials chemistry, 2023",
    doi="10.48550/arXiv.2401.00096",
)
SOLIDS_HOME = "https://github.com/ACEsuit/mace-mp/releases/download"
IONS = replace(
    MACE,
    elements=OMOL,
    charged=True,
    open_shell=True,
    method="wB97M-V/def2-TZVPD",
    citation="Levine et al., The Open Molecules 2025 (OMol25) dataset, 2025",
    doi="10.48550/arXiv.2505.08762",
)
IONS_HOME = "https://github.com/ACEsuit/mace-foundations/releases/download"
POLAR = replace(IONS, packages=(ADAPTER, "mace-torch", "graph_longrange @ git+https://github.com/WillBaldwin0/graph_electrostatics"))

MACE_CARDS = (
    replace(OFF, name="mace-off23-small", title="MACE-OFF23 small", file="~/.cache/mace/MACE-OFF23_small.model",
        source=f"{OFF_HOME}/mace_off23/MACE-OFF23_small.model"),
    replace(OFF, name="mace-off23-medium", title="MACE-OFF23 medium", file="~/.cache/mace/MACE-OFF23_medium.model",
        source=f"{OFF_HOME}/mace_off23/MACE-OFF23_medium.model"),
    replace(OFF, name="mace-off23-large", title="MACE-OFF23 large", file="~/.cache/mace/MACE-OFF23_large.model",
        source=f"{OFF_HOME}/mace_off23/MACE-OFF23_large.model"),
    replace(OFF, name="mace-off24-medium", title="MACE-OFF24 medium", file="~/.cache/mace/MACE-OFF24_medium.model",
        source=f"{OFF_HOME}/mace_off24/MACE-OFF24_medium.model"),
    replace(OFF, name="mace-les-off-small", title="MACELES-OFF small", licence="CC BY-NC 4.0 (not for commercial use)",
        citation="Kim et al., A universal augmentation framework for long-range electrostatics, 2025", doi="10.48550/arXiv.2507.14302",
        packages=(ADAPTER, "mace-torch", "les @ git+https://github.com/ChengUCB/les"), file="~/.cache/mace/MACELES-OFF_small_converted.model",
        source="https://github.com/ChengUCB/les_fit/raw/main/MACELES-OFF/MACELES-OFF_small_converted.model"),
    replace(SOLIDS, name="mace-mpa-0-medium", title="MACE-MPA-0 medium", file="~/.cache/mace/macempa0mediummodel",
        source=f"{SOLIDS_HOME}/mace_mpa_0/mace-mpa-0-medium.model"),
    replace(SOLIDS, name="mace-omat-0-small", title="MACE-OMAT-0 small", licence=ACADEMIC, commercial=False, file="~/.cache/mace/maceomat0smallmodel",
        source=f"{SOLIDS_HOME}/mace_omat_0/mace-omat-0-small.model"),
    replace(SOLIDS, name="mace-omat-0-medium", title="MACE-OMAT-0 medium", licence=ACADEMIC, commercial=False,
        file="~/.cache/mace/maceomat0mediummodel", source=f"{SOLIDS_HOME}/mace_omat_0/mace-omat-0-medium.model"),
    replace(IONS, name="mace-omol-0-extra-large", title="MACE-OMOL-0 extra large", licence=ACADEMIC, commercial=False,
        file="~/.cache/mace/MACE-omol-0-extra-large-1024.model", source=f"{IONS_HOME}/mace_omol_0/MACE-omol-0-extra-large-1024.model"),
    replace(POLAR, name="mace-polar-1-small", title="MACE-POLAR-1 small", file="~/.cache/mace/MACEPOLAR1Smodel",
        source=f"{IONS_HOME}/mace_polar_1/MACE-POLAR-1-S.model"),
    replace(POLAR, name="mace-polar-1-medium", title="MACE-POLAR-1 medium", file="~/.cache/mace/MACEPOLAR1Mmodel",
        source=f"{IONS_HOME}/mace_polar_1/MACE-POLAR-1-M.model"),
    replace(POLAR, name="mace-polar-1-large", title="MACE-POLAR-1 large", file="~/.cache/mace/MACEPOLAR1Lmodel",
        source=f"{IONS_HOME}/mace_polar_1/MACE-POLAR-1-L.model"),
)  # fmt: skip

AIMNET = replace(
    PLAIN,
    elements=("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I"),
    charged=True,
    packages=(ADAPTER, "aimnet"),
    max_atoms=500,
)
AIMNET_HOME = "https://storage.googleapis.com/aimnetcentral/aimnet2v2"
AIMNET_ROWS = (
    Row(replace(AIMNET, name="aimnet2-2025", title="AIMNet2-2025", method="B97-3c with D3",
        citation="Anstine, Zubatyuk and Isayev, Mach. Learn.: Sci. Technol., AIMNet2-2025", doi="10.1088/2632-2153/aea39f",
        file="~/.cache/aimnet/aimnet2_2025_b973c_d3_0.pt", source=f"{AIMNET_HOME}/AIMNet2/aimnet2_2025_b973c_d3_0.pt"), local="aimnet",
        sha256="043ed5418a104e31f79462f8e5ebeca64a2d24422174f5d29f894d32271981b5"),
    Row(replace(AIMNET, name="aimnet2-nse", title="AIMNet2-NSE", open_shell=True, method="wB97M-D3, open shells too",
        citation="Kalita et al., Angew. Chem. Int. Ed. 2026", doi="10.1002/anie.202516763", file="~/.cache/aimnet/aimnet2nse_wb97m_0.pt",
        source=f"{AIMNET_HOME}/AIMNet2NSE/aimnet2nse_wb97m_0.pt"), local="aimnet",
        sha256="b98b3449b2a3765de6a188edff9344a38cc72df75f9d9bf68f4b898a253c5864"),
    Row(replace(AIMNET, name="aimnet2-pd", title="AIMNet2-Pd", elements=("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "Pd", "I"),
        method="B97-3c/CPCM(THF)", citation="Anstine et al., ChemRxiv 2025", doi="10.26434/chemrxiv-2025-n36r6",
        file="~/.cache/aimnet/aimnet2-pd_0.pt", source=f"{AIMNET_HOME}/AIMNet2Pd/aimnet2-pd_0.pt"), local="aimnet",
        sha256="93f10dd5522e187d7d6aaf3b18d54c07746f5452c2e8063cf77fd0420dc39ebd"),
    Row(replace(AIMNET, name="aimnet2-rxn", title="AIMNet2-rxn", elements=("H", "C", "N", "O"), charged=False, method="wB97M-D3, reactions",
        citation="Anstine, Zubatyuk and Isayev, Chem. Sci. 2025, 16, 10228", doi="10.1039/D4SC08572H", file="~/.cache/aimnet/aimnet2_rxn_0.pt",
        source=f"{AIMNET_HOME}/AIMNet2rxn/aimnet2_rxn_0.pt"), local="aimnet",
        sha256="ce8bc2a4cc6fcb5ebaa1bc8897fcd75104e5a00fe86e9d5fc6a020d572174894"),
)  # fmt: skip

ACEFF = replace(
    PLAIN,
    elements=("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I"),
    charged=True,
    method="wB97M-V/def2-TZVPPD",
    licence="Apache-2.0",
    packages=(ADAPTER, "torchmd-net", "huggingface_hub"),
)
ACEFF_CARDS = (
    replace(ACEFF, name="aceff-1.0", title="AceFF 1.0", citation="Acellera, AceFF 1.0, model card", doi="https://huggingface.co/Acellera/AceFF-1.0",
        file="~/.cache/huggingface/hub/models--Acellera--AceFF-1.0/snapshots/*/aceff_v1.0.ckpt",
        source="https://huggingface.co/Acellera/AceFF-1.0/resolve/main/aceff_v1.0.ckpt"),
    replace(ACEFF, name="aceff-1.1", title="AceFF 1.1", citation="Acellera, AceFF 1.1, model card", doi="https://huggingface.co/Acellera/AceFF-1.1",
        file="~/.cache/huggingface/hub/models--Acellera--AceFF-1.1/snapshots/*/aceff_v1.1.ckpt",
        source="https://huggingface.co/Acellera/AceFF-1.1/resolve/main/aceff_v1.1.ckpt"),
    replace(ACEFF, name="aceff-2.0", title="AceFF 2.0",
        citation="Farr et al., AceFF: a state-of-the-art machine learning potential for small molecules, 2026",
        doi="https://huggingface.co/Acellera/AceFF-2.0", file="~/.cache/huggingface/hub/models--Acellera--AceFF-2.0/snapshots/*/aceff_v2.0.ckpt",
        source="https://huggingface.co/Acellera/AceFF-2.0/resolve/main/aceff_v2.0.ckpt"),
)  # fmt: skip

FENNIX = replace(
    PLAIN,
    elements=SPICE2,
    charged=True,
    method="wB97M-D3(BJ), corrected to coupled cluster and QMC",
    licence=ACADEMIC,
    commercial=False,
    citation="Ple et al., A foundation model for accurate atomistic simulations in drug design, ChemRxiv 2025",
    doi="10.26434/chemrxiv-2025-f1hgn-v4",
    packages=(ADAPTER, "fennol"),
)
FENNIX_HOME = "https://github.com/FeNNol-tools/FeNNol-PMC/raw/refs/heads/main/FENNIX-BIO1"
FENNIX_CARDS = (
    replace(FENNIX, name="fennix-bio1-small", title="FeNNix-Bio1 small", file="~/.cache/openmm-ml/fennix-bio1-small.fnx",
        source=f"{FENNIX_HOME}/v1.0/fennix-bio1S.fnx"),
    replace(FENNIX, name="fennix-bio1-small-finetune-ions", title="FeNNix-Bio1 small, ions refined",
        file="~/.cache/openmm-ml/fennix-bio1-small-finetune-ions.fnx", source=f"{FENNIX_HOME}/v1.0-finetuneIons/fennix-bio1S-finetuneIons.fnx"),
    replace(FENNIX, name="fennix-bio1-medium", title="FeNNix-Bio1 medium", file="~/.cache/openmm-ml/fennix-bio1-medium.fnx",
        source=f"{FENNIX_HOME}/v1.0/fennix-bio1M.fnx"),
    replace(FENNIX, name="fennix-bio1-medium-finetune-ions", title="FeNNix-Bio1 medium, ions refined",
        file="~/.cache/openmm-ml/fennix-bio1-medium-finetune-ions.fnx", source=f"{FENNIX_HOME}/v1.0-finetuneIons/fennix-bio1M-finetuneIons.fnx"),
)  # fmt: skip

ORB = replace(
    PLAIN,
    licence="Apache-2.0",
    citation="Rhodes et al., Orb-v3: atomistic simulation at scale, 2025",
    doi="10.48550/arXiv.2504.06231",
    packages=(ADAPTER, "orb-models"),
)
ORB_HOME = "https://orbitalmaterials-public-models.s3.us-west-1.amazonaws.com/forcefields"
# Orb names the file after the SHA-256 of its address.
ORB_CARDS = (
    replace(ORB, name="orb-v3-conservative-inf-omat", title="Orb v3 OMat24", elements=MATERIALS, method="PBE(+U)",
        file="~/.cache/cached_path/16d80a128fbe5cb7166d6f6db497c3cbd9394ee75b43eb6acf7e208c4b4796a8*",
        source=f"{ORB_HOME}/orb-v3/orb-v3-conservative-inf-omat-20250404.ckpt"),
    replace(ORB, name="orb-v3-conservative-omol", title="Orb v3 OMol25", elements=OMOL, charged=True, open_shell=True, method="wB97M-V/def2-TZVPD",
        file="~/.cache/cached_path/de06f2c4b58c171da3d9a0dfbf3c1795e926fc83de1a41a4d227fae7d0cae171*",
        source=f"{ORB_HOME}/orb-v3-conservative-omol-20250820.ckpt"),
)  # fmt: skip

OWN = replace(
    PLAIN,
    elements=_symbols(range(1, 119)),
    charged=True,
    open_shell=True,
    method="that of your file",
    licence="that of your file",
    bring="a file that you trust (`path`, with its `sha256`), and what it was trained on (`elements`, `charged`, `open_shell`)",
)
ASE = replace(
    OWN,
    name="ase",
    title="ASE calculator",
    method="that of the calculator",
    licence="that of the calculator",
    citation="Larsen et al., J. Phys.: Condens. Matter 2017, 29, 273002",
    doi="10.1088/1361-648X/aa680e",
    packages=(ADAPTER, "ase"),
    bring="an ASE calculator (`calculator`, as 'module:Class'), and what it can do (`elements`, `charged`, `open_shell`)",
)
OWN_CARDS = (
    replace(OWN, name="aimnet", title="AIMNet2, own file", citation="Anstine, Zubatyuk and Isayev, Chem. Sci. 2025, 16, 10228",
        doi="10.1039/D4SC08572H", packages=(ADAPTER, "aimnet")),
    replace(OWN, name="mace", title="MACE, own file", citation="Batatia et al., MACE, NeurIPS 2022", doi="10.48550/arXiv.2206.07697",
        packages=(ADAPTER, "mace-torch")),
    replace(OWN, name="nequip", title="NequIP or Allegro, own file", citation="Batzner et al., Nat. Commun. 2022, 13, 2453",
        doi="10.1038/s41467-022-29939-5", packages=(ADAPTER, "nequip")),
    replace(OWN, name="torchmdnet", title="TorchMD-Net, own file", citation="Pelaez et al., J. Chem. Theory Comput. 2024, 20, 4076",
        doi="10.1021/acs.jctc.4c00253", packages=(ADAPTER, "torchmd-net")),
    replace(OWN, name="fennix", title="FeNNix, own file", citation="Ple et al., J. Chem. Phys. 2024, 161, 042502", doi="10.1063/5.0217688",
        packages=(ADAPTER, "fennol")),
    replace(OWN, name="deepmd", title="DeePMD, own file", citation="Zeng et al., J. Chem. Phys. 2023, 159, 054801", doi="10.1063/5.0155600",
        bring=f"{OWN.bring}; needs also: conda install -c conda-forge ye-ding::openmm_deepmd_plugin"),
)  # fmt: skip

ROWS: dict[str, Row] = {
    row.card.name: row
    for row in (
        *(Row(card) for card in (ANI1CCX, ANI2X, *ORB_CARDS, ASE)),
        *(Row(card, local="mace") for card in MACE_CARDS),
        *AIMNET_ROWS,
        *(Row(card, local="torchmdnet") for card in ACEFF_CARDS),
        *(Row(card, local="fennix") for card in FENNIX_CARDS),
        *(Row(card, local=card.name, argument="model" if card.name == "deepmd" else "modelPath") for card in OWN_CARDS),
    )
}
"""All models by name."""
