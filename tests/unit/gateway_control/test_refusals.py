from aos.gateway.control.refusals import Refusals


def test_refusals_of_each_task_are_recorded_up_to_a_bound() -> None:
    refusals = Refusals(most=2)
    assert [refusals.count("one") for _ in range(4)] == [True, True, False, False]
    assert refusals.are_too_many("one")
    assert refusals.count("other")
    assert not refusals.are_too_many("other")
    assert not refusals.are_too_many("third")


def test_the_tasks_that_were_refused_last_are_counted() -> None:
    refusals = Refusals(most=1, most_tasks=2)
    for uid in ("one", "two", "one", "three"):
        refusals.count(uid)
    assert [refusals.are_too_many(uid) for uid in ("one", "two", "three")] == [True, False, True]
