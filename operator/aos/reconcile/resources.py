"""What a pod may use: what the Agent says, filled up with defaults that never contradict it."""

from aos.model.agent import ResourceAmounts, Resources
from aos.model.base import JsonObject
from aos.model.quantity import quantity


def container_resources(asked: Resources, defaults: Resources) -> JsonObject:
    """Return requests and limits, both for both resources.

    A default limit gives way to a larger request, and a default request to a smaller limit.
    """
    cpu_limit = _limit(asked.limits.cpu, asked.requests.cpu, defaults.limits.cpu)
    memory_limit = _limit(asked.limits.memory, asked.requests.memory, defaults.limits.memory)
    return {
        "requests": _present(
            ResourceAmounts(
                cpu=_request(asked.requests.cpu, cpu_limit, defaults.requests.cpu),
                memory=_request(asked.requests.memory, memory_limit, defaults.requests.memory),
            )
        ),
        "limits": _present(ResourceAmounts(cpu=cpu_limit, memory=memory_limit)),
    }


def _limit(asked: str | None, request: str | None, default: str | None) -> str | None:
    if asked or not request or not default:
        return asked or default
    return request if quantity(request) > quantity(default) else default


def _request(asked: str | None, limit: str | None, default: str | None) -> str | None:
    if asked or not limit or not default:
        return asked or default
    return limit if quantity(limit) < quantity(default) else default


def _present(amounts: ResourceAmounts) -> JsonObject:
    return amounts.model_dump(mode="json", exclude_none=True)
