"""Names for tools that the chat completions API accepts, each reversible to the tool's own name."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final, Self

MAX_FUNCTION_NAME_LENGTH: Final = 64

_ACCEPTED: Final = re.compile(rf"[a-zA-Z0-9_-]{{1,{MAX_FUNCTION_NAME_LENGTH}}}")
_REFUSED_CHARACTER: Final = re.compile(r"[^a-zA-Z0-9_-]")
_SEPARATOR: Final = "__"
_SHORTEST_DIGEST: Final = 8


class FunctionNames:
    """The two-way table between tools (``crm.get_contact``) and functions (``crm__get_contact``).

    A tool's name is a DNS label, so the first ``__`` always stands for the dot, and a name that was never
    offered can still be read. Names that are too long or hold other characters end in a digest.
    """

    def __init__(self, tool_by_function: dict[str, str]) -> None:
        self._tool_by_function = tool_by_function
        self._function_by_tool = {tool: function for function, tool in tool_by_function.items()}

    @classmethod
    def of(cls, tools: Iterable[str]) -> Self:
        """Build the table; it depends on the set of ``tools`` alone, not on their order."""
        table: dict[str, str] = {}
        # Readable names go first, so that no digest of another tool can take the place of one.
        for tool in sorted(set(tools), key=lambda name: (not _is_reversible(name), name)):
            table[_free_name(tool, table)] = tool
        return cls(table)

    def function(self, tool: str) -> str:
        """Name under which the model is offered ``tool``.

        Raises:
            KeyError: ``tool`` is not in the table.
        """
        return self._function_by_tool[tool]

    def tool(self, function: str) -> str:
        """Name of the tool that the model means, also for one it was never offered: the gateway judges that."""
        return self._tool_by_function.get(function) or _readable_to_tool(function)


def _free_name(tool: str, taken: dict[str, str]) -> str:
    if _is_reversible(tool):
        return _readable(tool)
    digest = hashlib.sha256(tool.encode()).hexdigest()
    stem = _REFUSED_CHARACTER.sub("_", tool)
    for length in range(_SHORTEST_DIGEST, len(digest)):
        name = f"{stem[: MAX_FUNCTION_NAME_LENGTH - length - 1]}-{digest[:length]}"
        if name not in taken:
            return name
    raise AssertionError("two names share a SHA-256 digest")  # pragma: no cover


def _is_reversible(tool: str) -> bool:
    name = _readable(tool)
    return bool(_ACCEPTED.fullmatch(name)) and _readable_to_tool(name) == tool


def _readable(tool: str) -> str:
    return tool.replace(".", _SEPARATOR, 1)


def _readable_to_tool(function: str) -> str:
    return function.replace(_SEPARATOR, ".", 1)
