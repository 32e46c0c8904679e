"""Results of tools cut down to the fields that policy keeps. What can't be cut down is withheld as a whole."""

from dataclasses import dataclass, field
from functools import lru_cache

from pydantic import JsonValue

from aos.model.base import JsonObject


@dataclass(slots=True)
class _Branch:
    """What is kept of one field: all of it, all items of a list, or what stands below."""

    whole: bool = False
    whole_items: bool = False
    members: dict[str, "_Branch"] = field(default_factory=dict)
    items: dict[str, "_Branch"] = field(default_factory=dict)


_Tree = dict[str, _Branch]


class ProjectionError(ValueError):
    """A value that has no fields to choose from."""


def project(value: JsonValue, sets: frozenset[frozenset[str]]) -> JsonValue:
    """Return ``value`` with nothing but the fields that stand in every one of ``sets``.

    A list is cut down item by item. A path that goes on past something that is no object keeps nothing of it.

    Args:
        value: a result's structured content, or what one of its texts says as JSON.
        sets: paths of fields, such as ``items[].owner.name``; without any set, all is kept.

    Raises:
        ProjectionError: it is neither an object nor a list of objects.
    """
    for fields in sorted(sets, key=sorted):
        value = _cut_down(value, _tree(fields))
    return value


def _cut_down(value: JsonValue, tree: _Tree) -> JsonValue:
    if isinstance(value, list):
        return [_cut_down(item, tree) for item in value]
    if not isinstance(value, dict):
        raise ProjectionError(
            "the result holds a value without fields where policy keeps only certain fields"
        )
    return _members(value, tree)


def _members(value: JsonObject, tree: _Tree) -> JsonObject:
    kept: JsonObject = {}
    for name, branch in tree.items():
        if name not in value:
            continue
        member = value[name]
        if branch.whole:
            kept[name] = member
        elif isinstance(member, dict) and branch.members:
            kept[name] = _members(member, branch.members)
        elif isinstance(member, list) and branch.whole_items:
            kept[name] = member
        elif isinstance(member, list) and branch.items:
            kept[name] = [_members(item, branch.items) for item in member if isinstance(item, dict)]
    return kept


@lru_cache(maxsize=512)
def _tree(fields: frozenset[str]) -> _Tree:
    root: _Tree = {}
    for path in sorted(fields):
        tree = root
        names = path.split(".")
        for place, written in enumerate(names):
            name = written.removesuffix("[]")
            branch = tree.setdefault(name, _Branch())
            last = place == len(names) - 1
            if written.endswith("[]"):
                branch.whole_items = branch.whole_items or last
                tree = branch.items
            else:
                branch.whole = branch.whole or last
                tree = branch.members
    return root
