from dataclasses import dataclass

from aos.gateway.control.circuit import Circuits
from tests.unit.gateway_mcp.make import SETTINGS

SAID = SETTINGS.model_copy(
    update={"circuit_failures": 3, "circuit_window_seconds": 10, "circuit_open_seconds": 5}
)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def opened() -> tuple[Circuits, Clock]:
    clock = Clock()
    circuits = Circuits(SAID, clock)
    for _ in range(3):
        assert circuits.wait_seconds("crm") == 0
        circuits.failed("crm", 0)
    return circuits, clock


def test_failures_in_a_row_open_it_for_a_while() -> None:
    circuits, clock = opened()
    assert circuits.wait_seconds("crm") == 5
    assert circuits.wait_seconds("erp") == 0
    assert circuits.open == 1
    clock.now += 4
    assert circuits.wait_seconds("crm") == 1


def test_one_answer_between_failures_keeps_it_closed() -> None:
    circuits = Circuits(SAID, Clock())
    for _ in range(5):
        circuits.failed("crm", 0)
        circuits.failed("crm", 0)
        circuits.worked("crm")
    assert circuits.wait_seconds("crm") == 0


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    clock = Clock()
    circuits = Circuits(SAID, clock)
    for _ in range(9):
        circuits.failed("crm", 0)
        clock.now += 6
    assert circuits.wait_seconds("crm") == 0


def test_the_time_that_failures_took_is_none_between_them() -> None:
    clock = Clock()
    circuits = Circuits(SAID, clock)
    for _ in range(2):
        clock.now += 60 + 3
        circuits.failed("crm", 60)
    clock.now += 60 + 3
    circuits.failed_again("crm", 60)
    clock.now += 60 + 3
    circuits.failed("crm", 60)
    assert circuits.wait_seconds("crm") == 5


def test_what_says_nothing_new_is_no_failure_and_no_trial() -> None:
    circuits, clock = opened()
    circuits.failed_again("erp", 0)
    assert not circuits.knows("erp")
    clock.now += 5
    assert circuits.wait_seconds("crm") == 0
    circuits.failed_again("crm", 0)
    assert circuits.wait_seconds("crm") == 0


def test_after_the_wait_one_call_tries() -> None:
    circuits, clock = opened()
    clock.now += 5
    assert circuits.wait_seconds("crm") == 0
    assert circuits.wait_seconds("crm") == 5
    circuits.worked("crm")
    assert circuits.wait_seconds("crm") == 0
    assert circuits.open == 0


def test_a_trial_that_fails_opens_it_again_at_once() -> None:
    circuits, clock = opened()
    clock.now += 5
    assert circuits.wait_seconds("crm") == 0
    circuits.failed("crm", 0)
    assert circuits.wait_seconds("crm") == 5


def test_a_trial_that_was_not_made_is_given_to_the_next() -> None:
    circuits, clock = opened()
    clock.now += 5
    assert circuits.wait_seconds("crm") == 0
    circuits.left("crm")
    assert circuits.wait_seconds("crm") == 0


def test_a_trial_that_nobody_tells_of_does_not_close_it_for_ever() -> None:
    circuits, clock = opened()
    clock.now += 5
    assert circuits.wait_seconds("crm") == 0
    clock.now += 5
    assert circuits.wait_seconds("crm") == 0


def test_what_is_long_ago_is_forgotten() -> None:
    circuits, clock = opened()
    circuits.failed("erp", 0)
    circuits.sweep()
    assert circuits.open == 1
    slowest = SAID.upstream_timeout_seconds + SAID.connect_timeout_seconds
    clock.now += slowest + 19
    circuits.sweep()
    assert circuits.knows("erp")
    clock.now += 2
    circuits.sweep()
    assert circuits._circuits == {}
