import pytest

from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode
from aos.cli.pending import key_of_argument, told_others


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("apr-1", "sales/apr-1"),
        ("support/apr-1", "support/apr-1"),
        ("apr/apr-1", "sales/apr-1"),
        ("approvalrequest.aos.dev/apr-1", "sales/apr-1"),
        ("ApprovalRequests/apr-1", "sales/apr-1"),
    ],
)
def test_a_request_is_named_as_every_list_names_it(name: str, key: str) -> None:
    assert str(key_of_argument(name, Connection(namespace="sales"))) == key


@pytest.mark.parametrize("name", ["", "sales/", "a/b/c", "../x", "a%2fb"])
def test_what_can_be_no_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(CommandError) as caught:
        key_of_argument(name, Connection(namespace="sales"))
    assert caught.value.code is ExitCode.USAGE


def test_what_waits_for_others_is_counted_and_the_command_shows_it_where_it_is() -> None:
    assert told_others(0, "sales") == ""
    assert told_others(1, "sales") == "; 1 waits for others, `aos pending --all -n sales` shows it"
    assert told_others(2, "") == "; 2 wait for others, `aos pending --all -A` shows them"
