import pytest

from aos.model.agent import Resources
from aos.reconcile.resources import container_resources
from tests.unit.reconcile.make import SETTINGS


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {},
            {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
        ),
        (  # a default limit gives way to a larger request
            {"requests": {"cpu": "2", "memory": "1Gi"}},
            {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
        ),
        (  # a default request gives way to a smaller limit
            {"limits": {"cpu": "20m", "memory": "64Mi"}},
            {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": "20m", "memory": "64Mi"}},
        ),
        (  # what is asked for is never changed
            {"requests": {"cpu": "10m"}, "limits": {"memory": "1G"}},
            {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"cpu": "500m", "memory": "1G"}},
        ),
    ],
)
def test_limits_and_requests_are_always_there_and_never_contradict(
    asked: dict[str, dict[str, str]], expected: dict[str, dict[str, str]]
) -> None:
    found = container_resources(Resources.model_validate(asked), SETTINGS.default_resources)
    assert found == expected
