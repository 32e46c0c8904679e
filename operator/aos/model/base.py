"""Bases of the API's models: camelCase outside, frozen, and nothing unknown is accepted."""

from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from aos.model.names import MAX_NAME_LENGTH

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
ACTION_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?$"
GLOB: Final = r"^[A-Za-z0-9_./*-]+$"
DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
DURATION: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
LABEL_KEY: Final = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
LABEL_VALUE: Final = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"

ObjectName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH, pattern=DNS_LABEL)]
"""Name of an AOS object: a DNS label short enough for its children's prefixes."""
ReferenceName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
"""Name of a Kubernetes object that AOS refers to."""
ActionName = Annotated[str, Field(min_length=1, max_length=128, pattern=ACTION_NAME)]
"""Name of one action, as the tool itself spells it."""
Glob = Annotated[str, Field(min_length=1, max_length=128, pattern=GLOB)]
"""A name, or a pattern in which ``*`` stands for any run of characters."""
Digest = Annotated[str, Field(max_length=71, pattern=DIGEST)]
"""``sha256:`` and 64 hexadecimal digits, over RFC 8785 JSON."""
DurationString = Annotated[str, Field(min_length=2, max_length=32, pattern=DURATION)]
"""A Go-style duration: ``90s``, ``1h30m``."""
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
LIST_AS_SET: Final[JsonDict] = {"x-kubernetes-list-type": "set"}
"""Tells the API server that an item stands in the list once."""
MAP_AS_ONE: Final[JsonDict] = {"x-kubernetes-map-type": "atomic"}
"""Who owns which entry is not kept: of large maps that would take as much room as the map."""
LIST_BY_NAME: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""Tells the API server that items are told apart by their names."""
JsonObject = dict[str, JsonValue]
"""A JSON object whose keys are not known to AOS."""
JSON_SCHEMA: Final[JsonDict] = {
    "properties": {
        "type": {
            "type": "string",
            "enum": ["object", "array", "string", "number", "integer", "boolean", "null"],
        }
    }
}
"""Has the API server refuse a JSON Schema of a type that there is not; what is wrong further down the operator tells."""


class ApiModel(BaseModel):
    """A part of an object as the API server stores it.

    Attributes:
        cel_rules: CEL rules that the generated schema carries for this part, as (rule, message, field path).
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        # What an error quotes ends up in logs and conditions.
        hide_input_in_errors=True,
    )

    cel_rules: ClassVar[tuple["CelRule", ...]] = ()


class CelRule(BaseModel):
    """One rule that the API server checks when a manifest is applied."""

    model_config = ConfigDict(frozen=True)

    rule: str
    message: str
    field_path: str = ""
