"""Model: the gateway's access to its one credential, and conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aos.model.model import Model
from aos.reconcile.connected import Connected, reconcile_connected
from aos.reconcile.plan import ChildKey, ObservedChild, Plan
from aos.reconcile.settings import OperatorSettings


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """All that a Model's children and status are made from.

    Attributes:
        model: as the API server has it.
        children: what there is of its Role and RoleBinding.
        refused: what the API server said when a child was to be written; empty if it took all.
    """

    model: Model
    children: Mapping[ChildKey, ObservedChild] = field(default_factory=dict)
    refused: str = ""


def reconcile_model(observed: ObservedModel, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what the Model needs."""
    model = observed.model
    return reconcile_connected(
        Connected(
            kind="Model",
            metadata=model.metadata,
            auth=model.spec.auth,
            observed_generation=model.status.observed_generation,
            conditions=model.status.conditions,
            children=observed.children,
            refused=observed.refused,
        ),
        settings,
        now,
    )
