"""Regular expressions that policies bring along to find data with: checked before anything is searched."""

from typing import Final

import re2

MAX_PATTERN_BYTES: Final = 1024 * 1024
"""Memory that one compiled expression may take."""

_MAX_MESSAGE: Final = 200
_PROBES: Final = (b"", b"a", b"0 ", b" -a0.")
"""Texts in which an expression that can match nothing at all shows it, word borders included."""


def pattern_problem(regex: str) -> str:
    """Return why ``regex`` can't be used to find data; empty if it can.

    It must be RE2 syntax, within `MAX_PATTERN_BYTES`, and must not match an empty text: that is found everywhere.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_BYTES
    try:
        compiled = re2.compile(regex.encode(), options)
    except re2.error as error:
        return f"not a usable RE2 expression: {_said(error)}"[:_MAX_MESSAGE]
    for probe in _PROBES:
        if any(match.start() == match.end() for match in compiled.finditer(probe)):
            return "it matches an empty text, and so everywhere: have it name at least one character"
    return ""


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
