import pytest

from aos.reconcile.revision import ObservedRevision, number_of, revision_of, superfluous
from tests.unit.reconcile.make import SETTINGS, agent


def observed(**numbers: int) -> list[ObservedRevision]:
    return [ObservedRevision(name, f"{name}-uid", number) for name, number in numbers.items()]


def test_equal_content_has_an_equal_name_and_other_content_another() -> None:
    one = revision_of(agent(), "Do.", SETTINGS)
    assert revision_of(agent(), "Do.", SETTINGS) == one
    assert revision_of(agent(), "Do it.", SETTINGS).name != one.name
    assert revision_of(agent({"suspend": True}), "Do.", SETTINGS) == one


def test_another_image_makes_another_revision() -> None:
    newer = SETTINGS.__class__(namespace="aos-system", agent_image="registry.example/aos:2")
    assert revision_of(agent(), "Do.", newer) != revision_of(agent(), "Do.", SETTINGS)


@pytest.mark.parametrize(
    ("numbers", "current", "expected"),
    [
        ({}, "a", 1),
        ({"a": 1}, "a", 1),
        ({"a": 1}, "b", 2),
        ({"a": 1, "b": 2}, "a", 3),
        ({"a": 3, "b": 2}, "a", 3),
    ],
    ids=["the first", "the only", "a new one", "back to an older one", "the newest"],
)
def test_the_current_revision_has_the_highest_number(
    numbers: dict[str, int], current: str, expected: int
) -> None:
    assert number_of(current, observed(**numbers)) == expected


def test_the_last_ten_idle_revisions_stay_and_so_do_the_current_and_those_in_use() -> None:
    all_of_them = observed(**{f"r{number:02}": number for number in range(1, 15)})
    gone = superfluous("r14", all_of_them, {"r01"})
    assert [item.name for item in gone] == ["r03", "r02"]
