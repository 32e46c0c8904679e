"""The parts of Kubernetes' own types that AOS reads and writes."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from aos.model.base import LABEL_KEY, ApiModel, CelRule, LabelValue, ReferenceName


class OwnerReference(BaseModel):
    """The object that another one belongs to."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(BaseModel):
    """What AOS reads of an object's metadata."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def key(self) -> "ObjectKey":
        """Namespace and name."""
        return ObjectKey(namespace=self.namespace, name=self.name)


class ObjectKey(BaseModel):
    """Namespace and name of an object; the namespace is empty for cluster-wide ones."""

    model_config = ConfigDict(frozen=True)

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class ConditionStatus(StrEnum):
    """Whether a condition holds; Unknown while nobody has looked."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One statement about an object, as ``kubectl wait`` reads it."""

    type: str = Field(max_length=64)
    status: ConditionStatus
    reason: str = Field(max_length=64, pattern=r"^[A-Z][A-Za-z]*$")
    message: str = Field(default="", max_length=4096)
    observed_generation: int = Field(default=-1, ge=-1)
    last_transition_time: datetime


class SelectorOperator(StrEnum):
    """How a label's value is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


LabelKey = Annotated[str, Field(min_length=1, max_length=253, pattern=LABEL_KEY)]


class SelectorRequirement(ApiModel):
    """One requirement on a label."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule="self.operator in ['In', 'NotIn'] ? (has(self.values) && size(self.values) > 0)"
            " : (!has(self.values) || size(self.values) == 0)",
            message="values must be given for In and NotIn, and left out for Exists and DoesNotExist",
            field_path=".values",
        ),
    )

    key: LabelKey
    operator: SelectorOperator
    values: tuple[LabelValue, ...] = Field(default=(), max_length=32)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet this requirement."""
        match self.operator:
            case SelectorOperator.IN:
                return labels.get(self.key) in self.values
            case SelectorOperator.NOT_IN:
                return labels.get(self.key) not in self.values
            case SelectorOperator.EXISTS:
                return self.key in labels
            case SelectorOperator.DOES_NOT_EXIST:
                return self.key not in labels


class LabelSelector(ApiModel):
    """Which objects are meant, by their labels; an empty selector means every one."""

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            rule=f"!has(self.matchLabels) || self.matchLabels.all(k, size(k) <= 253 && k.matches('{LABEL_KEY}'))",
            message="every key must be a label's name: an optional DNS prefix and a slash, then letters, digits, . _ -",
            field_path=".matchLabels",
        ),
    )

    match_labels: dict[LabelKey, LabelValue] = Field(default={}, max_length=32)
    match_expressions: tuple[SelectorRequirement, ...] = Field(default=(), max_length=16)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet every requirement."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class NameReference(ApiModel):
    """Another AOS object in the same namespace."""

    name: ReferenceName


class KeyReference(ApiModel):
    """One key of a ConfigMap or Secret in the same namespace."""

    name: ReferenceName
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")


class ApiObject(BaseModel):
    """An object of AOS as it stands in the API server."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    api_version: Literal["aos.dev/v1alpha1"] = "aos.dev/v1alpha1"
    metadata: ObjectMeta

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return self.metadata.key

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> Self:
        """Return the object that ``raw`` (decoded JSON of the API server) says.

        Raises:
            pydantic.ValidationError: a field is unknown or out of bounds.
        """
        return cls.model_validate(raw)
