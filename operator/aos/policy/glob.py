"""Names with ``*``: a run of any characters, nothing else is special."""

import re
from functools import lru_cache


def matches(pattern: str, name: str) -> bool:
    """Whether ``name`` is ``pattern``, or fits it where the pattern has ``*``."""
    if "*" not in pattern:
        return pattern == name
    return _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Runs of stars are one star: `**` would make the match cost quadratic for nothing.
    parts = re.split(r"\*+", pattern)
    return re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)
