"""CustomResourceDefinitions, made from the models."""

from pydantic import JsonValue

from aos.model.kind import Kind, PrinterColumn
from aos.model.names import GROUP, LABEL_PART_OF, MANAGED_BY, VERSION
from aos.model.structural import Schema, structural_schema


def custom_resource_definition(kind: Kind) -> dict[str, JsonValue]:
    """Return the CRD manifest of ``kind``."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {LABEL_PART_OF: MANAGED_BY},
            # Removing the chart must not remove every agent of the cluster.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                # The API server refuses a short name that is already the singular.
                "shortNames": [name for name in kind.short_names if name != kind.kind.lower()],
                "categories": [MANAGED_BY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": _object_schema(kind)},
                }
            ],
        },
    }


def _object_schema(kind: Kind) -> Schema:
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(kind.spec_model),
            "status": _status_schema(kind),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"size(self.metadata.name) <= {kind.max_name_length} && !self.metadata.name.contains('.')",
                "message": f"metadata.name must be a DNS label of at most {kind.max_name_length} characters"
                " (its children's names are made from it)",
            }
        ],
    }


def _status_schema(kind: Kind) -> Schema:
    schema = structural_schema(kind.status_model)
    schema["default"] = {"observedGeneration": -1}  # so that kstatus says "in progress" until the first look
    properties = schema["properties"]
    if isinstance(properties, dict) and isinstance(conditions := properties.get("conditions"), dict):
        conditions["x-kubernetes-list-type"] = "map"
        conditions["x-kubernetes-list-map-keys"] = ["type"]
    return schema


def _column(column: PrinterColumn) -> dict[str, JsonValue]:
    entry: dict[str, JsonValue] = {
        "name": column.name,
        "type": column.type.value,
        "jsonPath": column.json_path,
    }
    if column.priority:
        entry["priority"] = column.priority
    return entry
