"""All that the controllers of the kinds share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aos.controllers.acting import Actor
from aos.controllers.anchor_copies import AnchorCopies
from aos.controllers.cluster import Cluster
from aos.controllers.contents import Contents
from aos.controllers.gateways import Gateways
from aos.controllers.keys import Key
from aos.controllers.objects import Objects
from aos.controllers.platform import PlatformState
from aos.controllers.pool import Pool
from aos.controllers.turns import Turns
from aos.reconcile.settings import OperatorSettings


def utc_now() -> datetime:
    """Return the time in whole seconds, as objects record it."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class World:
    """Caches to gather from, and hands to act with.

    Attributes:
        settings: of the operator.
        objects: the kinds of AOS.
        cluster: Kubernetes' own objects.
        gateways: what the gateway's replicas enforce.
        state: what the operator knows of its own place.
        pool: pods that were there before any Task.
        turns: whose turn it is to get a pod.
        actor: writes.
        contents: reads what caches do not hold.
        anchor_copies: keeps what is anchored elsewhere too.
        later: asks for a reconcile after so many seconds.
        now: the wall clock.
    """

    settings: OperatorSettings
    objects: Objects
    cluster: Cluster
    gateways: Gateways
    state: PlatformState
    pool: Pool
    turns: Turns
    actor: Actor
    contents: Contents
    anchor_copies: AnchorCopies
    later: Callable[[Key, float], None]
    now: Callable[[], datetime] = utc_now
