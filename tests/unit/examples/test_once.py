from collections.abc import Iterator

import pytest

from examples.common import once
from examples.common.once import KEY_HEADER, Once


def test_what_comes_again_with_its_key_is_answered_and_not_done_again() -> None:
    kept: Once[int] = Once()
    done: list[int] = []

    def work() -> int:
        done.append(1)
        return len(done)

    assert [kept.do({KEY_HEADER: "a"}, work) for _ in range(3)] == [1, 1, 1]
    assert kept.do({KEY_HEADER: "b"}, work) == 2


@pytest.mark.parametrize("headers", [None, {}, {KEY_HEADER: ""}])
def test_what_comes_without_a_key_is_done_each_time(headers: dict[str, str] | None) -> None:
    kept: Once[int] = Once()
    numbers = iter(range(2))
    assert [kept.do(headers, lambda: next(numbers)) for _ in range(2)] == [0, 1]


def test_what_failed_may_be_tried_again_with_its_key() -> None:
    kept: Once[int] = Once()
    answers: Iterator[OSError | int] = iter([OSError("away"), 7])

    def work() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with pytest.raises(OSError, match="away"):
        kept.do({KEY_HEADER: "a"}, work)
    assert kept.do({KEY_HEADER: "a"}, work) == 7


def test_the_oldest_answers_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "MAX_KEPT", 2)
    kept: Once[int] = Once()
    numbers = iter(range(9))
    for key in "abca":
        kept.do({KEY_HEADER: key}, lambda: next(numbers))
    assert kept.do({KEY_HEADER: "c"}, lambda: 99) == 2
    assert next(numbers) == 4
