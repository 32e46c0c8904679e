"""Whether Models are available: the credential that they name is there."""

from aos.gateway.registry import Registry
from aos.gateway.reporter import Availability, Reporter
from aos.model.conditions import Reason
from aos.model.meta import ObjectKey
from aos.model.model import Model


class ModelStatus:
    """Reports each Model whenever it or its credential changes."""

    def __init__(self, registry: Registry, reporter: Reporter) -> None:
        self._registry = registry
        self._reporter = reporter
        registry.on_model_change(self.report)

    def report(self, key: ObjectKey) -> None:
        """Report one Model."""
        model = self._registry.model(key.namespace, key.name)
        if model is not None:
            self._reporter.report_model(key, self._availability(model))

    def _availability(self, model: Model) -> Availability:
        auth = model.spec.auth
        if auth is None:
            return Availability(Reason.AVAILABLE, "no credential is asked for")
        reference = auth.secret_ref
        if self._registry.credential(model.metadata.namespace, reference):
            return Availability(Reason.AVAILABLE, f"the credential is in Secret {reference.name}")
        return Availability(
            Reason.CREDENTIALS_MISSING,
            f"Secret {reference.name} is not there, may not be read by the gateway,"
            f" or its key {reference.key} holds no credential (one line of visible ASCII)",
        )
