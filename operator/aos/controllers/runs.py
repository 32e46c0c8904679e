"""WorkflowRuns: gather, reconcile, act."""

from aos.controllers.keys import Key
from aos.controllers.unreadable import reconcile_if_unreadable
from aos.controllers.world import World


async def reconcile(world: World, key: Key) -> None:
    """Bring one WorkflowRun a step further.

    Raises:
        ApiError: the API server could not be reached.
    """
    await reconcile_if_unreadable(world, key)
