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


class ExportFormat(StrEnum):
    """How audit rows are exported, one document a line."""

    JSONL = "jsonl"
    OCSF = "ocsf"
    CLOUDEVENTS = "cloudevents"
