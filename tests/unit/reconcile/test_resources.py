import pytest

from aos.model.agent import Resources
from aos.reconcile.resources import container_resources, quantity
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


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("500m", 0.5), ("1.5k", 1500), ("1Ki", 1024), ("2M", 2e6), ("1Gi", 2**30)]
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, number: float) -> None:
    assert float(quantity(text)) == number


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity("1Zi")
