"""Model: an OpenAI-compatible endpoint that agents reach through the gateway."""

from typing import ClassVar, Literal

from pydantic import Field

from aos.model.base import ApiModel, CelRule
from aos.model.kind import AGE_COLUMN, Kind, PrinterColumn, condition_column
from aos.model.meta import ApiObject, Condition
from aos.model.names import MAX_NAME_LENGTH
from aos.model.tool import ADDRESS_RULE, Auth, HttpUrl


class Prices(ApiModel):
    """What a million tokens cost, in micro-USD."""

    input_micro_usd: int = Field(ge=0, le=1_000_000_000_000, alias="inputMicroUSD")
    output_micro_usd: int = Field(ge=0, le=1_000_000_000_000, alias="outputMicroUSD")


class ModelSpec(ApiModel):
    """Where a model is; ``url`` ends where ``/chat/completions`` is appended, usually in ``/v1``.

    Without ``prices``, those publicly known for ``model`` count; a model without any can't be used under a budget
    in micro-USD.
    """

    cel_rules: ClassVar[tuple[CelRule, ...]] = (ADDRESS_RULE,)

    url: HttpUrl
    model: str = Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    auth: Auth | None = None
    prices: Prices | None = None


class ModelStatus(ApiModel):
    """What became of a model: Available from the gateway, the rest from the operator."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)


class Model(ApiObject):
    """A model."""

    kind: Literal["Model"] = "Model"
    spec: ModelSpec
    status: ModelStatus = ModelStatus()


MODEL_KIND = Kind(
    kind="Model",
    plural="models",
    short_names=("model",),
    description="An OpenAI-compatible endpoint and the model behind it.",
    object_model=Model,
    spec_model=ModelSpec,
    status_model=ModelStatus,
    columns=(
        PrinterColumn("Model", ".spec.model"),
        condition_column("Ready", "Ready"),
        PrinterColumn("URL", ".spec.url", priority=1),
        AGE_COLUMN,
    ),
    max_name_length=MAX_NAME_LENGTH,
)
