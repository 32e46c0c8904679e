"""Go-style durations as seconds."""

import re
from typing import Final

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_seconds(text: str) -> float:
    """Return the length of ``text`` (``1h30m``, ``250ms``) in seconds.

    Raises:
        ValueError: ``text`` is not a duration.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write numbers with the units ms, s, m, h, as in 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
