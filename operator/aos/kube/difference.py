"""Pure comparisons of what is desired with what is there, so that nothing is written that is so already."""

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from aos.kube.objects import child, children, text
from aos.model.base import JsonObject
from aos.model.meta import Condition


def covers(observed: JsonValue, desired: JsonValue) -> bool:
    """Whether ``observed`` says all that ``desired`` says; it may say more in objects, such as defaults, not in lists."""
    if isinstance(desired, dict):
        if not desired and observed is None:
            return True
        return isinstance(observed, dict) and all(
            covers(observed.get(name), value) for name, value in desired.items()
        )
    if isinstance(desired, list):
        if not desired and observed is None:
            return True
        return (
            isinstance(observed, list)
            and len(observed) == len(desired)
            and all(covers(ours, theirs) for ours, theirs in zip(observed, desired, strict=True))
        )
    return observed == desired and isinstance(observed, bool) == isinstance(desired, bool)


def status_differs(
    observed: Mapping[str, JsonValue], status: Mapping[str, JsonValue], field_manager: str
) -> bool:
    """Whether applying ``status`` as ``field_manager`` would change the object ``observed``.

    Compared are the fields of ``status``, and those that the manager applied before and would now drop. Where the
    object carries no ``managedFields``, every field of the status counts as the manager's.
    """
    there = child(observed, "status")
    owned = _owned(observed, field_manager)
    fields = status.keys() | (there.keys() if owned is None else owned.keys())
    return any(
        _conditions_differ(there, status, None if owned is None else child(owned, name))
        if name == "conditions"
        else there.get(name) != status.get(name)
        for name in fields
    )


def _conditions_differ(
    there: Mapping[str, JsonValue], status: Mapping[str, JsonValue], owned: JsonObject | None
) -> bool:
    observed = {text(condition, "type"): condition for condition in children(there, "conditions")}
    desired = {text(condition, "type"): condition for condition in children(status, "conditions")}
    if owned is None:
        return observed != desired
    return any(
        observed.get(name) != desired.get(name)
        for name in observed.keys() | desired.keys()
        if name in desired or f'k:{{"type":"{name}"}}' in owned
    )


def _owned(observed: Mapping[str, JsonValue], field_manager: str) -> JsonObject | None:
    entries = children(child(observed, "metadata"), "managedFields")
    if not entries:
        return None
    for entry in entries:
        if (
            text(entry, "manager") == field_manager
            and text(entry, "operation") == "Apply"
            and text(entry, "subresource") == "status"
        ):
            fields = child(child(entry, "fieldsV1"), "f:status")
            return {name.removeprefix("f:"): value for name, value in fields.items()}
    return {}


def keep_transition_times(
    observed: Iterable[Condition], desired: Iterable[Condition]
) -> tuple[Condition, ...]:
    """Return ``desired`` with the time of transition of each condition whose status is as it was."""
    known = {condition.type: condition for condition in observed}
    return tuple(_keep_time(known.get(condition.type), condition) for condition in desired)


def _keep_time(observed: Condition | None, desired: Condition) -> Condition:
    if observed is None or observed.status is not desired.status:
        return desired
    return desired.model_copy(update={"last_transition_time": observed.last_transition_time})
