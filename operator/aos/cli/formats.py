"""The formats in which results are printed for programs."""

from enum import StrEnum


class DataFormat(StrEnum):
    """How a result is printed for programs."""

    JSON = "json"
    YAML = "yaml"


class ObjectFormat(StrEnum):
    """How an object is printed for programs."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class ListFormat(StrEnum):
    """How a list of objects is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class GraphFormat(StrEnum):
    """How the steps of a Workflow are drawn."""

    TEXT = "text"
    MERMAID = "mermaid"


class LineFormat(StrEnum):
    """How what happens is printed for programs: one document a line."""

    JSON = "json"


class ExportFormat(StrEnum):
    """How audit rows are exported, one document a line."""

    JSONL = "jsonl"
    OCSF = "ocsf"
    CLOUDEVENTS = "cloudevents"
