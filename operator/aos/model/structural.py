"""Pydantic models as structural schemas: everything inline, bounded, and with the rules the API server checks."""

from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter

from aos.model.base import ApiModel, CelRule

Schema = dict[str, JsonValue]

_KEPT = frozenset(
    {
        "type",
        "description",
        "pattern",
        "enum",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "format",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    }
)
MAX_FREE_PROPERTIES = 256
MAX_INPUT_BYTES = 262_144
"""Of what a Task or a run is given, as JSON."""
_ATTRIBUTES = "\n\nAttributes:\n"


def structural_schema(model: type[ApiModel]) -> Schema:
    """Return the structural schema of ``model``.

    Raises:
        ValueError: the model says something that a structural schema can't.
    """
    document = TypeAdapter(model).json_schema(by_alias=True, mode="validation")
    definitions = document.get("$defs", {})
    return _Converter(definitions, _rules_by_name(model)).convert(document)


class _Converter:
    """Turns one JSON Schema with definitions into one without."""

    def __init__(self, definitions: Mapping[str, Schema], rules: Mapping[str, tuple[CelRule, ...]]) -> None:
        self._definitions = definitions
        self._rules = rules

    def convert(self, node: Schema) -> Schema:
        merged = self._resolved(node)
        converted: Schema = {key: value for key, value in merged.items() if key in _KEPT}
        if "description" in merged:
            converted["description"] = _described(merged)[0]
        default = merged.get("default")
        if isinstance(default, str | int | float) and default != "":
            converted["default"] = default
        if merged.get("type") == "object":
            self._object(merged, converted)
        if merged.get("type") == "array":
            items = merged["items"]
            if not isinstance(items, dict):
                raise ValueError(f"an array without one item type: {merged}")
            converted["items"] = self.convert(items)
        if "const" in merged:
            converted["enum"] = [merged["const"]]
        return converted

    def _resolved(self, node: Schema) -> Schema:
        """Follow a reference, and drop the ``null`` arm of what may be left out."""
        if "anyOf" in node:
            arms = [
                arm for arm in _list(node["anyOf"]) if isinstance(arm, dict) and arm.get("type") != "null"
            ]
            if len(arms) != 1:
                raise ValueError(f"a structural schema has one type a field: {node}")
            rest = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
            return {**self._resolved(arms[0]), **rest}
        reference = node.get("$ref")
        if isinstance(reference, str):
            target = self._definitions[reference.removeprefix("#/$defs/")]
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return {**self._resolved(target), **rest}
        return node

    def _object(self, node: Schema, converted: Schema) -> None:
        properties = node.get("properties")
        if isinstance(properties, dict):
            said = _described(node)[1]
            converted["properties"] = {
                name: self.convert(value | said.get(name.lower(), {}))
                for name, value in properties.items()
                if isinstance(value, dict)
            }
            if node.get("required"):
                converted["required"] = node["required"]
            if node.get("additionalProperties"):
                # Some keys of a free object are known, as `type` of a JSON Schema.
                self._free_object(node, converted)
        else:
            self._free_object(node, converted)
        rules = self._rules.get(str(node.get("title")), ())
        if rules:
            converted["x-kubernetes-validations"] = [_validation(rule) for rule in rules]

    def _free_object(self, node: Schema, converted: Schema) -> None:
        values = node.get("additionalProperties")
        patterned = node.get("patternProperties")
        # A structural schema has no patterns for keys: a CEL rule checks them.
        if isinstance(patterned, dict):
            values = next(iter(patterned.values()))
        if isinstance(values, dict) and self._resolved_is_typed(values):
            converted["additionalProperties"] = self.convert(values)
        else:
            converted["x-kubernetes-preserve-unknown-fields"] = True
        converted.setdefault("maxProperties", MAX_FREE_PROPERTIES)

    def _resolved_is_typed(self, node: Schema) -> bool:
        reference = node.get("$ref")
        return not (isinstance(reference, str) and reference.endswith("/JsonValue")) and bool(node)


def _described(node: Schema) -> tuple[str, dict[str, Schema]]:
    """Return what a model's docstring says of it, and of its attributes, by name without case and underscores."""
    about, _, attributes = str(node.get("description", "")).partition(_ATTRIBUTES)
    said: dict[str, str] = {}
    name = ""
    for line in attributes.splitlines():
        if line.startswith("     "):
            said[name] += f" {line.strip()}"
        elif line.strip():
            written, _, text = line.strip().partition(": ")
            name = written.replace("_", "").lower()
            said[name] = text
    return about, {key: {"description": text[:1].upper() + text[1:]} for key, text in said.items()}


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise TypeError(f"not a list: {value}")
    return value


def _validation(rule: CelRule) -> dict[str, JsonValue]:
    entry: dict[str, JsonValue] = {"rule": rule.rule, "message": rule.message}
    if rule.field_path:
        entry["fieldPath"] = rule.field_path
    return entry


def _rules_by_name(model: type[ApiModel]) -> dict[str, tuple[CelRule, ...]]:
    """Collect the rules of ``model`` and of every model below it, by class name (which pydantic uses as title)."""
    found: dict[str, tuple[CelRule, ...]] = {}
    pending: list[type[ApiModel]] = [ApiModel]
    while pending:
        current = pending.pop()
        pending.extend(current.__subclasses__())
        if current.cel_rules:
            found[current.__name__] = current.cel_rules
    if model.cel_rules and model.__name__ not in found:
        raise ValueError(f"{model.__name__} is not reachable from ApiModel")
    return found
