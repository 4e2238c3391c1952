"""Settings: pydantic's findings in the words of a user.

Knows pydantic and must not know any one setting.
"""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from studio.errors import SettingsError

T = TypeVar("T")


def validated(kind: type[T], data: object) -> T:
    """A value of `kind` (settings class or annotated type) from plain data.

    Args:
        kind: What it should be.
        data: What came: JSON data, a form's values, a number.

    Raises:
        SettingsError: One sentence per setting that is wrong: where, what was expected, what came.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as problem:
        raise SettingsError(explain(problem)) from problem


def explain(problem: ValidationError) -> str:
    """Pydantic's findings as sentences.

    Args:
        problem: As pydantic raised it.
    """
    sentences = []
    for error in problem.errors():
        where = " > ".join(str(part) for part in error["loc"])
        message = plainly(error)
        sentences.append(f"{where}: {message}." if where else f"{message[0].upper()}{message[1:]}.")
    return " ".join(sentences)


def plainly(error: ErrorDetails) -> str:
    """What was expected and what came, without saying where.

    Args:
        error: One of pydantic's findings.
    """
    message = error["msg"].removeprefix("Value error, ")
    if message.startswith("Input should be "):
        return f"expected {message.removeprefix('Input should be ')}, got {error['input']!r}"
    return message
