import pytest

from aos.inspection.sizes import DataTooLargeError, as_json, check_bytes, check_size


def test_a_value_is_measured_as_json() -> None:
    check_size({"a": 1}, 7)
    check_size({"a": 1}, None)
    with pytest.raises(DataTooLargeError, match="7 bytes as JSON, and policy allows 6"):
        check_size({"a": 1}, 6)


def test_a_size_is_checked_without_a_bound_too() -> None:
    check_bytes(10**9, None)
    with pytest.raises(DataTooLargeError):
        check_bytes(2, 1)


@pytest.mark.parametrize("value", [2**70, "\ud800"])
def test_what_json_can_not_carry_is_refused(value: int | str) -> None:
    with pytest.raises(DataTooLargeError, match="can't be written as JSON"):
        as_json(value)
