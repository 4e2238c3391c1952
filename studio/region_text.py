"""Region text: regions as people type them - `ligand or residues A:90-95`, `within 4 of ligand` - read and written.

A small language with a hand-written parser; nothing that is typed is ever executed. Distances are in angstrom, and atoms
are counted from 1, as in `Structure.label`. Knows the words for regions and must not know what they select.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from itertools import pairwise
from typing import Literal

from studio.errors import RegionError
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
from studio.units import NM_PER_ANGSTROM

HELP = (
    "Words: ligand, protein, water, ions, solute, all; within 4 of ligand (angstrom; whole residues); molecules within 4 of ligand; "
    "resname GLY; residue A:981; residues A:90-95,A:99; chain A; sidechain A:93; atoms 1,2,5-9 (counted from 1); element C,N; name CA; "
    'smarts "c1ccccc1"; residue of atoms 7; molecule of atoms 7. '
    "Join them with or, and, not, minus, and parentheses; and goes first, or and minus go from left to right. "
    "Side chains end at a bond that may be cut: ligand or within 4 of ligand and sidechain minus resname PRO."
)
"""The whole language in three sentences, for the help beside a text field."""
MAX_LENGTH, MAX_DEPTH, MAX_ATOM = 4000, 40, 1_000_000
"""Longest text (characters), deepest nesting of parentheses, highest atom number."""

_WORDS: dict[str, Region] = {
    "ligand": Ligand(), "protein": KindIs(of="protein"), "water": KindIs(of="water"), "ions": KindIs(of="ion"), "solute": Solute(), "focus": Focus(),
    "all": All(), "ligands": Ligand(), "waters": KindIs(of="water"), "ion": KindIs(of="ion"), "everything": All(),
}  # fmt: skip
_TOKEN = re.compile(r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<sign>[()\[\]:,])|(?P<word>[^\s()\[\]:,"']+)|(?P<bad>["']))""")
_NUMBER = re.compile(r"-?\d+[A-Za-z]?")
_RANGE = re.compile(r"(-?\d+)-(-?\d+)")
_PLAIN = re.compile(r"[^\s()\[\]:,\"']+")


class RegionTextError(RegionError):
    """What was typed is not a region.

    Args:
        message: The sentence for the user.
        start: First character of the place, counted from 0.
        end: The character after it.
    """

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


@dataclass(frozen=True)
class _Token:
    kind: Literal["text", "sign", "word", "end"]
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        """Words and signs in lower case; a quoted text is never a word of the language."""
        return self.text.lower() if self.kind in ("word", "sign") else ""


def parse(text: str) -> Region:
    """Read a region.

    Args:
        text: As typed; see `HELP`.

    Raises:
        RegionTextError: Says where, what was expected, and the nearest known word.
    """
    if len(text) > MAX_LENGTH:
        raise RegionTextError(f"A region is described in at most {MAX_LENGTH:,} characters; this has {len(text):,}.", MAX_LENGTH, len(text))
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup == "bad":
            start = match.end() - 1 if match else place
            raise RegionTextError(f"The quotation mark at character {start + 1} is never closed.", start, len(text))
        kind: Literal["text", "sign", "word"] = "text" if match["text"] else "sign" if match["sign"] else "word"
        word = match[kind]
        found.append(_Token(kind, word[1:-1] if kind == "text" else word, match.start(kind), match.end()))
        place = match.end()
    return [*found, _Token("end", "", len(text), len(text))]


class _Parser:
    """Recursive descent: a sum (`or`, `minus`) of products (`and`) of single selections."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens, self._place, self._depth = tokens, 0, 0
        self._readers: dict[str, Callable[[], Region]] = {
            "not": lambda: Difference(whole=All(), without=self._single()),
            "within": lambda: self._near("residue"),
            "resname": lambda: _union([ResidueIs(name=name) for name in self._list("a residue name such as GLY")]),
            "chain": lambda: _union([ResidueIs(chain=chain) for chain in self._list("the name of a chain such as A")]),
            "sidechain": lambda: self._residues(SideChain),
            "element": lambda: ElementIs(symbols=tuple(self._list("the symbol of an element such as C"))),
            "name": lambda: NameIs(names=tuple(self._list("an atom name such as CA"))),
            "smarts": self._smarts,
        }
        self._readers |= dict.fromkeys(("atom", "atoms"), self._atoms)
        self._readers |= dict.fromkeys(("residue", "residues"), lambda: self._piece("residue"))
        self._readers |= dict.fromkeys(("molecule", "molecules"), lambda: self._piece("molecule"))

    def whole(self) -> Region:
        """The region that all of the text says."""
        region = self._sum()
        if self._next.kind != "end":
            raise self._wrong("'or', 'and', 'minus' or the end", ("or", "and", "minus"))
        return region

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, *wanted: str) -> bool:
        """Step over the next word or sign if it is one of `wanted`."""
        if self._next.low not in wanted:
            return False
        self._place += 1
        return True

    def _word(self, expected: str) -> str:
        """The next word, or quoted text, whatever it is."""
        token = self._next
        if token.kind not in ("word", "text"):
            raise self._wrong(expected)
        self._place += 1
        return token.text

    def _list(self, expected: str) -> list[str]:
        """Words separated by commas."""
        found = [self._word(expected)]
        while self._take(","):
            found.append(self._word(expected))
        return found

    def _sum(self) -> Region:
        region = self._product()
        while self._next.low in ("or", "minus"):
            if self._take("minus"):
                region = Difference(whole=region, without=self._product())
                continue
            parts = [region]
            while self._take("or"):
                parts.append(self._product())
            region = Union(parts=tuple(parts))
        return region

    def _product(self) -> Region:
        parts = [self._single()]
        while self._take("and"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else Intersection(parts=tuple(parts))

    def _single(self) -> Region:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"at most {MAX_DEPTH} levels of nesting")
        token = self._next
        if self._take("("):
            region = self._sum()
            if not self._take(")"):
                raise self._wrong("')'", ("or", "and", "minus"))
        elif self._take(*_WORDS):
            region = _WORDS[token.low]
        elif self._take(*self._readers):
            region = self._readers[token.low]()
        else:
            raise self._wrong("a selection such as ligand, water or residue A:93", (*_WORDS, *self._readers))
        self._depth -= 1
        return region

    def _near(self, whole: Literal["molecule", "residue"]) -> Region:
        token = self._next
        number = self._word("a distance in angstrom, such as 4")
        try:
            angstrom = float(number)
        except ValueError:
            angstrom = -1.0
        if not 0.0 < angstrom <= 500.0:
            raise self._wrong("a distance above 0 and up to 500 angstrom", at=token)
        self._take("a", "angstrom", "å")
        if not self._take("of"):
            raise self._wrong("'of', as in: within 4 of ligand", ("of",))
        return Near(of=self._single(), nm=angstrom / 10.0, whole=whole)

    def _piece(self, whole: Literal["molecule", "residue"]) -> Region:
        """After `residue` or `molecule`: `within ...`, `of ...`, or (residues) which ones."""
        if self._take("within"):
            return self._near(whole)
        if self._take("of"):
            return Whole(of=self._single(), whole=whole)
        if whole == "molecule":
            raise self._wrong("'of' or 'within', as in: molecule of atoms 7", ("of", "within"))
        return self._residues(ResidueIs)

    def _residues(self, cls: type[ResidueIs | SideChain]) -> Region:
        parts = [self._residue(cls)]
        while self._take(","):
            parts.append(self._residue(cls))
        return _union(parts)

    def _residue(self, cls: type[ResidueIs | SideChain]) -> Region:
        """`[LYS]A:93`, of which each part may be missing, or `A:90-95`; `sidechain` may stand alone."""
        name, chain = self._bracketed(), self._chain_name()
        token = self._next
        between = _RANGE.fullmatch(token.text) if token.kind == "word" and name is None else None
        if between and int(between[1]) <= int(between[2]):
            self._place += 1
            some = ResidueRange(first=int(between[1]), last=int(between[2]), chain=chain)
            return some if cls is ResidueIs else Intersection(parts=(SideChain(), some))
        if token.kind == "text" or _NUMBER.fullmatch(token.text):
            self._place += 1
            return cls(name=name, number=token.text, chain=chain)
        if between or (cls is ResidueIs and name is chain is None):
            raise self._wrong("a residue such as A:93, 93, A:90-95 or [LYS]A:93 (residues by name: resname LYS)")
        return cls(name=name, chain=chain)

    def _bracketed(self) -> str | None:
        """A residue name in square brackets, if one is there."""
        if not self._take("["):
            return None
        name = self._word("a residue name such as LYS")
        if not self._take("]"):
            raise self._wrong("']'")
        return name

    def _chain_name(self) -> str | None:
        """The name of a chain and the colon after it, if they are there."""
        token = self._next
        if token.kind not in ("word", "text") or self._tokens[self._place + 1].low != ":":
            return None
        self._place += 2
        return token.text

    def _atoms(self) -> Region:
        indices: list[int] = []
        while not indices or self._take(","):
            token = self._next
            first, _, last = self._word("atom numbers such as 1,2,5-9").partition("-")
            if not (first.isdecimal() and (last or first).isdecimal() and 1 <= int(first) <= int(last or first) <= MAX_ATOM):
                raise self._wrong("atom numbers such as 1,2,5-9, counted from 1, the lower one first", at=token)
            indices += range(int(first) - 1, int(last or first))
        return Atoms(indices=tuple(dict.fromkeys(indices)))

    def _smarts(self) -> Region:
        token = self._next
        if token.kind != "text" or not 0 < len(token.text) <= 500:
            raise self._wrong('a SMARTS pattern in quotation marks, as in: smarts "c1ccccc1"')
        self._place += 1
        return Smarts(pattern=token.text)

    def _wrong(self, expected: str, known: Iterable[str] = (), at: _Token | None = None) -> RegionTextError:
        token = at or self._next
        came = "the end" if token.kind == "end" else f"'{token.text}'"
        close = difflib.get_close_matches(token.low, sorted(known), n=1, cutoff=0.6) if token.kind == "word" else []
        hint = f" Did you mean '{close[0]}'?" if close else ""
        return RegionTextError(f"At character {token.start + 1}: expected {expected}; got {came}.{hint}", token.start, token.end)


def to_text(region: Region) -> str:
    """A region in the words that `parse` reads; reading them again selects the same atoms.

    Args:
        region: Any region of `studio.region`.

    Raises:
        RegionError: There are no words for this kind of region.
    """
    return _say(region)


@singledispatch
def _say(region: Region) -> str:
    word = next((word for word, known in _WORDS.items() if known == region), None)
    if word is None:
        raise RegionError(f"There are no words for the region '{region}'. It can be used, but not edited as text.")
    return word


@_say.register
def _(region: Atoms) -> str:
    numbers = sorted(index + 1 for index in set(region.indices))
    if not numbers:
        return "not all"
    starts = [numbers[0], *(high for low, high in pairwise(numbers) if high > low + 1)]
    ends = [*(low for low, high in pairwise(numbers) if high > low + 1), numbers[-1]]
    return "atoms " + ",".join(str(low) if low == high else f"{low}-{high}" for low, high in zip(starts, ends, strict=True))


@_say.register
def _(region: ResidueIs) -> str:
    if region.name and not (region.number or region.chain):
        return f"resname {_quoted(region.name)}"
    if region.chain and not (region.number or region.name):
        return f"chain {_quoted(region.chain)}"
    return f"residue {_place(region)}" if region != ResidueIs() else "all"


@_say.register
def _(region: SideChain) -> str:
    return f"sidechain {_place(region)}".rstrip()


@_say.register
def _(region: ResidueRange) -> str:
    return f"residues {_chain(region.chain)}{region.first}-{region.last}"


@_say.register
def _(region: ElementIs) -> str:
    return f"element {','.join(map(_quoted, region.symbols))}"


@_say.register
def _(region: NameIs) -> str:
    return f"name {','.join(map(_quoted, region.names))}"


@_say.register
def _(region: Smarts) -> str:
    return f"smarts '{region.pattern}'" if '"' in region.pattern else f'smarts "{region.pattern}"'


@_say.register
def _(region: Near) -> str:
    piece = "molecules " if region.whole == "molecule" else ""
    return f"{piece}within {region.nm / NM_PER_ANGSTROM:.12g} of {_inner(region.of)}"


@_say.register
def _(region: Whole) -> str:
    return f"{region.whole} of {_inner(region.of)}"


@_say.register
def _(region: Union) -> str:
    return " or ".join(_say(part) if isinstance(part, Union) else _inner(part) for part in region.parts)


@_say.register
def _(region: Intersection) -> str:
    return " and ".join(_say(part) if isinstance(part, Intersection) else _inner(part) for part in region.parts)


@_say.register
def _(region: Difference) -> str:
    if region.whole == All():
        return f"not {_inner(region.without)}"
    return f"{_inner(region.whole)} minus {_inner(region.without)}"


def _inner(region: Region) -> str:
    """In parentheses where it needs them, or reads better with them."""
    many = isinstance(region, Difference) or (isinstance(region, Union | Intersection) and len(region.parts) > 1)
    return f"({_say(region)})" if many else _say(region)


def _union(parts: Sequence[Region]) -> Region:
    return parts[0] if len(parts) == 1 else Union(parts=tuple(parts))


def _place(region: ResidueIs | SideChain) -> str:
    name = f"[{_quoted(region.name)}]" if region.name else ""
    number = region.number or ""
    return f"{name}{_chain(region.chain)}" + (number if not number or _NUMBER.fullmatch(number) else f'"{number}"')


def _chain(chain: str | None) -> str:
    return f"{_quoted(chain)}:" if chain is not None else ""


def _quoted(word: str) -> str:
    """A name as it is, or in quotation marks where the language would stumble over it."""
    return word if _PLAIN.fullmatch(word) else f"'{word}'" if '"' in word else f'"{word}"'
