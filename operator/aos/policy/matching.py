"""Which calls a match means: by tool, action, access, risk and declared data class."""

from collections.abc import Iterable

from aos.model.approval import CallMatch
from aos.model.rule import ToolMatch
from aos.model.tool import ToolAction
from aos.policy import glob


def concerns(matches: Iterable[ToolMatch], tool: str, action: ToolAction) -> bool:
    """Whether any of ``matches`` means ``action`` of ``tool``. What a match leaves out means every call."""
    return any(_means(match, tool, action) for match in matches)


def means(match: CallMatch, tool: str, action: ToolAction) -> bool:
    """Whether ``match`` means ``action`` of ``tool``. What it leaves out means every call."""
    return (not match.tools or concerns(match.tools, tool, action)) and _is_declared(match, action)


def _means(match: ToolMatch, tool: str, action: ToolAction) -> bool:
    return (
        glob.matches(match.name, tool)
        and (not match.actions or any(glob.matches(pattern, action.name) for pattern in match.actions))
        and _is_declared(match, action)
    )


def _is_declared(match: ToolMatch | CallMatch, action: ToolAction) -> bool:
    return (
        (not match.access or action.access in match.access)
        and (not match.risk or action.risk in match.risk)
        and (not match.data_classes or any(item in action.data_classes for item in match.data_classes))
    )
