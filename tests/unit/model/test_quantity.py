import pytest
from pydantic import ValidationError

from aos.model.agent import ResourceAmounts, Resources
from aos.model.quantity import quantity
from tests.unit.model.amounts import IMPOSSIBLE


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("500m", 0.5), ("1.5k", 1500), ("1Ki", 1024), ("2M", 2e6), ("1Gi", 2**30), ("1T", 1e12)],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, number: float) -> None:
    assert float(quantity(text)) == number


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity("1Zi")


@pytest.mark.parametrize(("cpu", "memory"), [("1m", "1Mi"), ("1024", "16Ti"), ("0.5", "1048576")])
def test_amounts_that_a_pod_can_have_are_taken(cpu: str, memory: str) -> None:
    amounts = ResourceAmounts(cpu=cpu, memory=memory)
    assert Resources(requests=amounts, limits=amounts).limits == amounts


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_amounts_that_no_pod_can_have_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        ResourceAmounts.model_validate({name: value})


@pytest.mark.parametrize(("name", "request_", "limit"), [("cpu", "2", "1999m"), ("memory", "1Gi", "1G")])
def test_nothing_is_requested_beyond_its_limit(name: str, request_: str, limit: str) -> None:
    with pytest.raises(ValidationError, match=f"requests.{name} must be at most limits.{name}"):
        Resources.model_validate({"requests": {name: request_}, "limits": {name: limit}})
