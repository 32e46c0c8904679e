"""Whether webhooks have the keys that their requests are signed with: said to the operator, which says it on the Workflow."""

from typing import Final, Protocol

from aos.gateway.hooks.signature import UnusableKeyError, key_of
from aos.gateway.registry import Listener
from aos.model.meta import ObjectKey
from aos.model.workflow import Workflow

MAX_PROBLEM_LENGTH: Final = 2_048
"""A Workflow may have many webhooks, and a line of the report has a bound."""


class Hooked(Protocol):
    """What is asked of the registry."""

    def workflow(self, namespace: str, name: str) -> Workflow | None:
        """Return the Workflow, or None."""

    def trigger_secret(self, namespace: str, workflow: str, trigger: str) -> str | None:
        """Return the text of the Secret that the trigger names; None while it can't be had."""

    def trigger_problem(self, namespace: str, workflow: str, trigger: str) -> str | None:
        """Return why it can't be had; empty if it can, None while that is not known."""

    def on_workflow_change(self, listener: Listener) -> None:
        """Call ``listener`` when a Workflow or the Secret of one of its webhooks changes."""


class Told(Protocol):
    """Where it is said; `aos.gateway.enforcement.EnforcementReport` is one."""

    def webhooks(self, namespace: str, workflow: str, generation: int, problem: str | None) -> None:
        """Say whether the webhooks of a Workflow have their keys; None if it has no webhooks, or is gone."""


class HookKeys:
    """Says of each Workflow whether its webhooks have their keys, whenever that may have changed."""

    def __init__(self, registry: Hooked, told: Told) -> None:
        self._registry = registry
        self._told = told
        registry.on_workflow_change(self._look)

    def _look(self, key: ObjectKey) -> None:
        workflow = self._registry.workflow(key.namespace, key.name)
        triggers = workflow.spec.triggers if workflow is not None else ()
        names = [trigger.name for trigger in triggers if trigger.webhook is not None]
        if workflow is None or not names:
            self._told.webhooks(key.namespace, key.name, 0, None)
            return
        found = {name: self._problem(key, name) for name in names}
        problems = [f"trigger {name}: {problem}" for name, problem in found.items() if problem]
        if problems or None not in found.values():
            said = "; ".join(problems)[:MAX_PROBLEM_LENGTH]
            self._told.webhooks(key.namespace, key.name, workflow.metadata.generation, said)

    def _problem(self, key: ObjectKey, trigger: str) -> str | None:
        """Return why the webhook's requests can't be verified; empty if they can, None while that is not known."""
        problem = self._registry.trigger_problem(key.namespace, key.name, trigger)
        secret = self._registry.trigger_secret(key.namespace, key.name, trigger)
        if problem != "" or secret is None:
            return problem
        try:
            key_of(secret)
        except UnusableKeyError as error:
            return f"its Secret holds no key: {error}"
        return ""
