from aos.gateway.mcp.rpc import Session
from aos.gateway.mcp.sessions import MAX_IDLE_SECONDS, SessionKey, Sessions
from aos.gateway.upstream.outbound import Target

CRM = Target("uid-crm", "http://crm.invalid/mcp", "one")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def key(owner: str, tool: str = "uid-crm") -> SessionKey:
    return SessionKey(tool, owner)


def test_a_session_is_found_by_its_tool_and_task() -> None:
    sessions = Sessions(Clock())
    mine = Session("2025-06-18", "s1")
    assert sessions.put(key("a"), mine, CRM) == []
    assert sessions.get(key("a"), CRM) is mine
    assert sessions.get(key("b"), CRM) is None
    assert sessions.get(key("a", "uid-other"), CRM) is None


def test_a_session_is_not_used_with_another_credential() -> None:
    sessions = Sessions(Clock())
    sessions.put(key("a"), Session("2025-06-18", "s1"), CRM)
    assert sessions.get(key("a"), Target(CRM.uid, CRM.url, "two")) is None


def test_the_least_recently_used_gives_way() -> None:
    sessions = Sessions(Clock(), max_sessions=2)
    for owner in "ab":
        sessions.put(key(owner), Session("2025-06-18", owner), CRM)
    sessions.get(key("a"), CRM)
    (ended,) = sessions.put(key("c"), Session("2025-06-18", "c"), CRM)
    assert ended.session.id == "b"
    assert len(sessions) == 2


def test_a_session_that_is_replaced_is_ended() -> None:
    sessions = Sessions(Clock())
    sessions.put(key("a"), Session("2025-06-18", "old"), CRM)
    (ended,) = sessions.put(key("a"), Session("2025-06-18", "new"), CRM)
    assert ended.session.id == "old"


def test_idle_sessions_are_taken_out() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    sessions.put(key("a"), Session("2025-06-18", "a"), CRM)
    sessions.put(key("b"), Session("2025-06-18", "b"), CRM)
    clock.now = MAX_IDLE_SECONDS
    sessions.get(key("a"), CRM)
    clock.now += 1
    assert [item.session.id for item in sessions.idle()] == ["b"]
    assert sessions.idle() == []


def test_only_the_very_session_that_was_lost_is_forgotten() -> None:
    sessions = Sessions(Clock())
    old, new = Session("2025-06-18", "old"), Session("2025-06-18", "new")
    sessions.put(key("a"), new, CRM)
    sessions.lost(key("a"), old)
    assert sessions.get(key("a"), CRM) is new
    sessions.lost(key("a"), new)
    assert sessions.get(key("a"), CRM) is None


def test_sessions_of_a_task_or_a_tool_are_taken_out_together() -> None:
    sessions = Sessions(Clock())
    for owner, tool in (("a", "uid-crm"), ("a", "uid-mail"), ("b", "uid-crm")):
        sessions.put(key(owner, tool), Session("2025-06-18", owner + tool), CRM)
    assert {item.session.id for item in sessions.of_owner("a")} == {"auid-crm", "auid-mail"}
    assert [item.session.id for item in sessions.of_tool("uid-crm")] == ["buid-crm"]
    assert len(sessions) == 0
