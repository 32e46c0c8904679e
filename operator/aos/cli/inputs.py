"""A Task's input from the command line: pure parsing; files are read through what the caller hands in."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from pydantic import JsonValue

from aos.cli.exits import usage_error
from aos.gateway.strict_json import MAX_INTEGER
from aos.model.base import JsonObject

FROM_STDIN: Final = "-"
_FROM_FILE: Final = "@"

Read = Callable[[str], str]


def read_text(name: str) -> str:
    """Return the text of the file ``name``.

    Raises:
        CommandError: it can't be read.
    """
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise usage_error(f"can't read {name}: {reason}") from error


def task_input(
    pairs: Sequence[str], document: str | None, read: Read, read_stdin: Callable[[], str]
) -> JsonObject:
    """Return the input that the options give: the document's keys, then those of ``key=value``.

    Args:
        pairs: each ``key=value`` or ``key=@file``.
        document: a JSON object, ``-`` for standard input, or None.
        read: reads a file's text.
        read_stdin: reads standard input.

    Raises:
        CommandError: an option is malformed, or a key is given twice.
    """
    result = _document(document, read_stdin)
    given: set[str] = set()
    for pair in pairs:
        key, separator, said = pair.partition("=")
        if not key or not separator:
            raise usage_error(f"-i {pair}: write it as key=value, or key=@file")
        if key in given:
            raise usage_error(f"-i {key}: given twice; give a list as JSON, as in -i '{key}=[1, 2]'")
        given.add(key)
        result[key] = parse_value(
            read(said.removeprefix(_FROM_FILE)) if said.startswith(_FROM_FILE) else said
        )
    return result


def parse_value(text: str) -> JsonValue:
    """Return ``text`` as JSON where it is JSON, else as the string that it is.

    Raises:
        CommandError: it is JSON that says one thing twice.
    """
    try:
        return strict_json(text)
    except json.JSONDecodeError:
        return text


def parse_object(text: str, option: str) -> JsonObject:
    """Return the JSON object in ``text``.

    Raises:
        CommandError: it is none; the message names the option.
    """
    try:
        value = strict_json(text)
    except json.JSONDecodeError as error:
        raise usage_error(f"{option}: {error}; write a JSON object, as in '{{\"key\": 1}}'") from error
    if not isinstance(value, dict):
        raise usage_error(f"{option}: give a JSON object, as in '{{\"key\": 1}}'")
    return value


def strict_json(text: str) -> JsonValue:
    """Return ``text`` decoded; what JSON has no words for (NaN, infinities) is not JSON.

    Raises:
        json.JSONDecodeError: it is not JSON.
        CommandError: an object names a key twice, an integer is beyond what JSON carries, or it is nested too deep.
    """

    def refuse(constant: str) -> NoReturn:
        raise json.JSONDecodeError(f"{constant} is not JSON", text, 0)

    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=_object, parse_constant=refuse, parse_int=_integer
        )
    except RecursionError as error:
        raise usage_error("the JSON given is nested too deep") from error
    return value


def _integer(digits: str) -> int:
    if len(digits) > len(str(-MAX_INTEGER)) or abs(int(digits)) > MAX_INTEGER:
        raise usage_error(f"the integer {digits[:40]} is beyond {MAX_INTEGER}; give it as a string in quotes")
    return int(digits)


def _object(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise usage_error(f"the JSON given names the key {twice!r} twice")
    return result


def _document(document: str | None, read_stdin: Callable[[], str]) -> JsonObject:
    if document is None:
        return {}
    text = read_stdin() if document == FROM_STDIN else document
    return dict(parse_object(text, "--input-json"))
