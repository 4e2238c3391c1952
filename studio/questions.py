"""Questions: what people can have studied, and what each recipe asks them for - as plain values from which any screen makes a form.

Reads the settings of registered recipes: a field with a title is asked for, settings inside settings are laid flat. Knows pydantic
and must not know any one recipe, nor how a form looks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from studio import plugins
from studio.errors import MissingPackageError, PluginError, RegionError
from studio.potentials.base import Card
from studio.recipes.base import Recipe, Study
from studio.region import Region
from studio.region_text import parse, to_text
from studio.settings import plainly
from studio.system import System

GROUP: Literal["studio.recipes"] = "studio.recipes"
SUBJECTS: dict[str, str] = {"system": "The molecule that is open", "series": "A series of ligands", "recording": "A recorded run"}
"""What studies are about, in words, in the order in which they are offered."""
FIELDS = {"system": "system", "series": "source", "recording": "recording"}
"""The setting that says what it is about; nobody is asked for it again."""
Kind = Literal[
    "yes", "whole", "number", "choice", "potential", "potentials", "recording", "result", "structure", "table", "region", "system", "text", "value", "values",
]  # fmt: skip
"""`recording`, `result`, `structure` and `table` are the folder of a run or of a series' result, a file with a protein, and one with
numbers: people choose among their own, as a path that anybody may write could lead anywhere. `region` is written as in
`studio.region_text`; `value` is text that stands for something else, `values` several of them with commas between.
"""
BY_NAME: dict[str, Kind] = {
    "potential": "potential", "network": "potential", "potentials": "potentials", "recording": "recording", "other": "recording", "predictions": "result",
    "added": "result", "protein": "structure", "measured": "table",
}  # fmt: skip
"""Settings that mean the same in every recipe."""
CREW = "crew"
"""The setting that says who works on it."""
Path = tuple[str, ...]
Answer = str | float | int | bool | tuple[str, ...] | dict[str, Any] | None


@dataclass(frozen=True)
class Question:
    """A setting that people are asked for.

    Args:
        path: Names that lead to it, from the recipe inwards.
        title: What it is, with its unit.
        help: A sentence about it.
        kind: How it is answered.
        default: What holds unless something else is said.
        low: Least number that is allowed, where there is one.
        high: Largest.
        choices: What can be chosen, where that is limited.
        optional: It may be left empty.
    """

    path: Path
    title: str
    help: str
    kind: Kind
    default: Answer
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def name(self) -> str:
        """The path in one word."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Offer:
    """A study that can be asked for.

    Args:
        kind: Of its recipe.
        study: How people are offered it.
        recipe: Its settings.
    """

    kind: str
    study: Study
    recipe: type[Recipe]

    @property
    def questions(self) -> tuple[Question, ...]:
        """What people are asked for, in the order of the settings; those of the recipe itself come first, and who works on it last."""
        asked = [_question(path, field) for path, field in _fields(self.recipe, ()) if path != (FIELDS[self.study.subject],)]
        return tuple(sorted(asked, key=lambda question: (len(question.path) > 1, question.path[0] == CREW)))


def offers() -> tuple[Offer, ...]:
    """All studies that can be asked for, by subject; a plug-in that cannot be imported is left out."""
    found = [offer for kind in plugins.names(GROUP) if (offer := offer_of(kind)) is not None]
    order = tuple(SUBJECTS)
    return tuple(sorted(found, key=lambda offer: (order.index(offer.study.subject), offer.study.title)))


def offer_of(kind: str) -> Offer | None:
    """The study of one kind of recipe; none where people are not offered it.

    Args:
        kind: Of the recipe.
    """
    try:
        recipe = plugins.load(GROUP, kind)
    except (PluginError, MissingPackageError):
        return None
    study: Study | None = getattr(recipe, "study", None)
    return None if study is None else Offer(kind, study, recipe)


class Unanswered(Exception):  # noqa: N818 - the screen's own word; no failure of the program
    """Some answers cannot be taken.

    Args:
        problems: A sentence for each question, by name; under the empty name what belongs to none.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = dict(problems)


def answered(offer: Offer, subject: Mapping[str, Any], answers: Mapping[str, Answer]) -> Recipe:
    """The recipe that some answers make.

    Args:
        offer: What is asked for.
        subject: The settings that say what it is about, as JSON data.
        answers: By the name of the question; those that are left out keep their defaults.

    Raises:
        Unanswered: An answer is not allowed; says which, and why.
    """
    data, problems = dict(subject), dict[str, str]()
    for question in offer.questions:
        if question.name in answers:
            try:
                _put(data, question.path, _meant(question, answers[question.name]))
            except RegionError as problem:
                problems[question.name] = str(problem)
    try:
        recipe = offer.recipe.model_validate(data)
    except ValidationError as problem:
        raise Unanswered(_problems(problem, {question.path for question in offer.questions}) | problems) from problem
    if problems:
        raise Unanswered(problems)
    return recipe


def potentials_of(cards: Mapping[str, Card]) -> dict[str, str]:
    """Titles of potentials by name, as they are offered.

    Args:
        cards: Of the potentials that are ready.
    """
    return {name: card.title for name, card in sorted(cards.items(), key=lambda item: item[1].title.lower())}


def _fields(model: type[BaseModel], path: Path) -> list[tuple[Path, FieldInfo]]:
    """Fields with a title, also those inside settings that have none themselves."""
    found = []
    for name, field in model.model_fields.items():
        here = (*path, name)
        if field.title:
            found.append((here, field))
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) and isinstance(field.default, BaseModel):
            found += [(inner, _with_default(each, getattr(field.default, inner[-1]))) for inner, each in _fields(field.annotation, here)]
    return found


def _with_default(field: FieldInfo, default: object) -> FieldInfo:
    """The field with the default that its recipe has chosen."""
    return FieldInfo.merge_field_infos(field, default=default)


def _question(path: Path, field: FieldInfo) -> Question:
    kind, choices, optional, bounds = _shape(path[-1], field)
    default = field.get_default(call_default_factory=True, validated_data={}) if not field.is_required() else None
    if isinstance(default, Region):
        default = to_text(default)
    elif kind in ("value", "values") and default is not None:
        default = _written(default)
    return Question(path, field.title or path[-1], field.description or "", kind, default, *bounds, choices, optional)


def _shape(name: str, field: FieldInfo) -> tuple[Kind, tuple[str, ...], bool, tuple[float | None, float | None]]:
    """How a field is answered: its kind, choices, whether it may be empty, and bounds."""
    plain, marks = _peeled(field.annotation)
    optional = NoneType in get_args(field.annotation)
    bounds = _bounds((*field.metadata, *marks))
    if name in BY_NAME and plain not in (bool, int, float):  # a number of that name is a number
        return BY_NAME[name], (), optional or (BY_NAME[name] == "potential" and field.default == ""), (None, None)
    if get_origin(plain) is Literal:
        return "choice", tuple(map(str, get_args(plain))), optional, (None, None)
    if isinstance(plain, type) and issubclass(plain, Region | System):
        return "region" if issubclass(plain, Region) else "system", (), optional, (None, None)
    by_type: dict[Any, Kind] = {bool: "yes", int: "whole", float: "number", str: "text", tuple: "values"}
    kind = by_type.get(get_origin(plain) or plain, "value")
    return kind, (), optional, bounds if kind in ("whole", "number") else (None, None)


def _peeled(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without `Annotated` and without `| None`, and what was noted on it."""
    marks: tuple[Any, ...] = ()
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            marks = (*marks, *more)
        elif NoneType in (parts := get_args(annotation)) and len(parts) == 2 and get_origin(annotation) is not Literal:
            annotation = next(part for part in parts if part is not NoneType)
        else:
            return annotation, marks


def _bounds(marks: tuple[Any, ...]) -> tuple[float | None, float | None]:
    flat = [inner for mark in marks for inner in (mark.metadata if isinstance(mark, FieldInfo) else (mark,))]
    lows = [cast("float", mark.ge if isinstance(mark, Ge) else mark.gt) for mark in flat if isinstance(mark, Ge | Gt)]
    highs = [cast("float", mark.le if isinstance(mark, Le) else mark.lt) for mark in flat if isinstance(mark, Le | Lt)]
    return (float(lows[0]) if lows else None), (float(highs[0]) if highs else None)


def _written(default: object) -> str:
    """A default as people write it: several with commas."""
    return ", ".join(map(str, default)) if isinstance(default, tuple | list) else str(default)


def _meant(question: Question, answer: Answer) -> Any:
    """What an answer stands for: numbers and lists may be written as text."""
    if question.kind == "region" and isinstance(answer, str):
        return parse(answer).model_dump(mode="json")
    written = question.kind in ("value", "values") or (question.kind == "choice" and not isinstance(question.default, str | None))
    if not written or not isinstance(answer, str):
        return answer
    if question.kind == "values":
        return [_value(part.strip()) for part in answer.split(",") if part.strip()]
    return _value(answer.strip())


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(data: dict[str, Any], path: Path, answer: Answer) -> None:
    """Write an answer where its path leads."""
    *outer, last = path
    for name in outer:
        data = data.setdefault(name, {})
    data[last] = answer


def _problems(problem: ValidationError, known: set[Path]) -> dict[str, str]:
    """What pydantic found, by the name of the question, in words."""
    said: dict[str, str] = {}
    for error in problem.errors():
        way = tuple(str(part) for part in error["loc"])
        name = next((".".join(way[:length]) for length in range(len(way), 0, -1) if way[:length] in known), "")
        sentence = plainly(error) if name else f"{' > '.join(way)}: {plainly(error)}" if way else plainly(error)
        said.setdefault(name, f"{sentence[0].upper()}{sentence[1:]}.")
    return said
