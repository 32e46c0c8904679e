from aos.policy.obligations import Obligations, PartReference


def test_a_part_reads_as_people_name_it() -> None:
    assert (
        str(PartReference("ClusterPolicy", "", "floor", "limit calls")) == "ClusterPolicy floor, limit calls"
    )


def test_nothing_said_means_the_defaults() -> None:
    nothing = Obligations()
    assert nothing.loops.max_depth == 4
    assert nothing.loops.max_visits == 2
    assert nothing.conflicts.lease_seconds == 600
    assert nothing.data.max_request_bytes is None
