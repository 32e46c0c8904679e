"""Whether a namespace is there: to the API server one that is not is merely empty."""

from aos.cli.exits import CommandError, ExitCode
from aos.kube.client import ApiClient
from aos.kube.errors import Forbidden, NotFound
from aos.kube.resources import NAMESPACES


async def check_namespace(client: ApiClient, namespace: str) -> None:
    """Check that the namespace is there, as far as the caller may know; every one, ``""``, always is.

    Raises:
        CommandError: it is not.
        ApiError: the API server does not say.
    """
    if not namespace:
        return
    try:
        await client.get(NAMESPACES, namespace)
    except NotFound as error:
        raise CommandError(
            ExitCode.REFUSED, f"there is no namespace {namespace}; name another with -n"
        ) from error
    except Forbidden:
        # Who may read a namespace's objects need not be allowed to read the namespace.
        return
