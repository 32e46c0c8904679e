"""What the API server has to know of a kind besides its fields."""

from dataclasses import dataclass
from enum import StrEnum

from aos.model.base import ApiModel
from aos.model.meta import ApiObject


class ColumnType(StrEnum):
    """How ``kubectl get`` shows a value."""

    STRING = "string"
    INTEGER = "integer"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """One column of ``kubectl get``; a priority above zero shows with ``-o wide``."""

    name: str
    json_path: str
    type: ColumnType = ColumnType.STRING
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: its names, its models and its columns."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    description: str
    object_model: type[ApiObject]
    spec_model: type[ApiModel]
    status_model: type[ApiModel]
    columns: tuple[PrinterColumn, ...]
    max_name_length: int
    namespaced: bool = True


AGE_COLUMN = PrinterColumn("Age", ".metadata.creationTimestamp", ColumnType.DATE)


def condition_column(name: str, condition: str, field: str = "status", priority: int = 0) -> PrinterColumn:
    """Return a column that shows ``field`` of the condition of type ``condition``."""
    return PrinterColumn(name, f'.status.conditions[?(@.type=="{condition}")].{field}', priority=priority)
