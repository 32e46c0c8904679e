"""What the operator knows of its own place: the gateway, its authorities, and the admission policies. No I/O."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from aos.controllers.cluster import Cluster
from aos.controllers.gateways import Gateways
from aos.controllers.objects import Objects
from aos.controllers.views import Endpoint
from aos.reconcile.admission.policies import admission_policies
from aos.reconcile.guard import Guard, guard
from aos.reconcile.settings import OperatorSettings, Platform


class PlatformState:
    """Kept in step with the caches by `refresh`.

    Attributes:
        platform: what agent pods have to know of the gateway.
        guard: whether the admission policies are in place.
    """

    def __init__(self, settings: OperatorSettings, username: str, now: Callable[[], datetime]) -> None:
        """Know nothing yet.

        Args:
            settings: of the operator.
            username: whom the API server takes the operator for.
            now: the wall clock.
        """
        self._now = now
        self._expected = admission_policies(settings.operator_username, settings.gateway_username)
        self._expected_user = settings.operator_username
        self._username = username
        self._endpoints: tuple[Endpoint, ...] | None = None
        self.platform = Platform()
        self.guard = Guard("the admission policies were not looked at yet")

    def refresh(self, cluster: Cluster, objects: Objects, gateways: Gateways) -> None:
        """Take what the caches say now, and ask for the reconciles that it makes."""
        endpoints = cluster.endpoints()
        if endpoints != self._endpoints:
            self._endpoints = endpoints
            gateways.set_endpoints(endpoints)
        found = guard(self._expected, cluster.rules(), self._expected_user, self._username)
        if found != replace(self.guard, seen_at=None):
            had_problem = self.guard.problem
            self.guard = replace(found, seen_at=self._now())
            if found.problem != had_problem:
                objects.touch_agents()
                objects.touch_waiting_tasks()
            objects.requests.touch_open()
        self._set(replace(self.platform, gateway_address=cluster.gateway_address()), objects)

    def trust(self, authorities: str, objects: Objects, gateways: Gateways) -> None:
        """Take the authorities that the gateway's certificate may come from."""
        if authorities != self.platform.authorities:
            gateways.trust(authorities)
            self._set(replace(self.platform, authorities=authorities), objects)

    def _set(self, platform: Platform, objects: Objects) -> None:
        if platform != self.platform:
            self.platform = platform
            # Pods that are there before their Task are made from it.
            objects.touch_agents()
            objects.touch_waiting_tasks()
