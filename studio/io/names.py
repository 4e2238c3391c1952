"""Names: well-known molecules by the words people type, from a bundled table.

Knows `data/molecules.csv` and close matches; whether a text is a SMILES is the business of who asks.
"""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from studio import chem
from studio.errors import StructureError

TABLE = Path(__file__).parents[1] / "data" / "molecules.csv"
CLOSENESS = 0.7
"""Similarity from which a word counts as misspelt, 0 to 1."""
MIN_WORD = 4
"""Shorter words are more likely SMILES than names."""


@dataclass(frozen=True)
class Known:
    """A molecule of the table: its name, its SMILES and its other names."""

    name: str
    smiles: str
    synonyms: tuple[str, ...] = ()


@cache
def molecules() -> tuple[Known, ...]:
    """The molecules of the table in alphabetical order."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(Known(row["name"], row["smiles"], tuple(filter(None, row["synonyms"].split(";")))) for row in csv.DictReader(file))


@cache
def _by_word() -> dict[str, Known]:
    return {_plain(word): known for known in molecules() for word in (known.name, *known.synonyms)}


def _plain(word: str) -> str:
    """A word without what people write differently: case, spaces, hyphens."""
    return "".join(letter for letter in word.lower() if letter.isalnum())


def named(text: str) -> str | None:
    """The SMILES of a molecule that goes by this name, or none.

    Args:
        text: A name as typed; case, spaces and hyphens do not count.
    """
    known = _by_word().get(_plain(text))
    # "CO" and "N" are SMILES first, whatever else they may abbreviate.
    return known.smiles if known is not None and len(text.strip()) > 2 else None


def similar(text: str) -> tuple[str, ...]:
    """Names that `text` may be misspelt for, at most three, the closest first.

    Args:
        text: A word that is no name.
    """
    words = _by_word()
    close = difflib.get_close_matches(_plain(text), words, n=6, cutoff=CLOSENESS)
    return tuple(dict.fromkeys(words[word].name for word in close))[:3]


def smiles_of(text: str) -> str:
    """The SMILES that a user means by a name or by a SMILES.

    Args:
        text: As typed.

    Raises:
        StructureError: Neither a name in the table nor a SMILES; the sentence has close matches.
    """
    from rdkit import Chem, rdBase

    found = named(text)
    if found is not None:
        return found
    if len(text) > chem.MAX_SMILES_LENGTH:  # no name, and slow to look through; the reader of SMILES refuses it
        return text.strip()
    with rdBase.BlockLogs():
        readable = Chem.MolFromSmiles(text.strip(), sanitize=False) is not None
    # A misspelt SMILES has signs that no name has; its own reader says best what is wrong.
    if readable or len(text.strip()) < MIN_WORD or not text.replace(" ", "").replace("-", "").isalpha():
        return text.strip()
    close = similar(text)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"The table has {len(molecules())} well-known molecules; type the SMILES of any other."
    raise StructureError(f"'{text.strip()}' is neither a SMILES string nor the name of a bundled molecule. {hint}")
