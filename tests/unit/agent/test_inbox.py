from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from aos.agent.failure import CannotReportError, Failure, FailureReason
from aos.agent.inbox import Inbox, OutputRefusedError
from aos.agent.settings import AgentSettings
from tests.unit.agent.conftest import FAST, task

SETTINGS = AgentSettings(
    "https://gateway", Path("token"), Path("ca"), "https://gateway/v1", "https://gateway/mcp", bounds=FAST
)


class Gateway:
    """Answers in turn; the last answer stays."""

    def __init__(self, *answers: httpx2.Response) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.pauses: list[float] = []

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def inbox(self) -> Inbox:
        return Inbox(httpx2.AsyncClient(transport=httpx2.MockTransport(self.respond)), SETTINGS, self.sleep)


def refusal(status: int, code: str = "Code", message: str = "why", **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"code": code, "message": message}}, headers=headers)


async def test_the_task_is_fetched() -> None:
    gateway = Gateway(httpx2.Response(200, json=task()))
    assert (await gateway.inbox().fetch()).name == "enrich-1"
    assert [(request.method, str(request.url)) for request in gateway.requests] == [
        ("GET", "https://gateway/v1/task")
    ]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_what_passes_is_waited_for_with_growing_pauses(status: int) -> None:
    gateway = Gateway(*[refusal(status)] * 4, httpx2.Response(200, json=task()))
    await gateway.inbox().fetch()
    assert gateway.pauses == [0.01, 0.02, 0.04, 0.05]


def nothing_yet() -> httpx2.Response:
    return httpx2.Response(204)


async def test_a_task_that_is_not_there_yet_is_asked_for_again_without_growing_pauses() -> None:
    gateway = Gateway(
        nothing_yet(), refusal(503), refusal(503), nothing_yet(), httpx2.Response(200, json=task())
    )
    assert (await gateway.inbox().wait()).name == "enrich-1"
    assert gateway.pauses == [0.01, 0.02, 0.04, 0.01]


async def test_whoever_waits_is_told_that_it_may_not() -> None:
    with pytest.raises(CannotReportError, match="PodEnded"):
        await Gateway(nothing_yet(), refusal(403, "PodEnded")).inbox().wait()


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (httpx2.Response(200, json=task()), "enrich-1"),
        (nothing_yet(), None),
        (refusal(403, "PodEnded"), None),
        (refusal(503), None),
    ],
)
async def test_the_last_look_waits_for_nothing(answer: httpx2.Response, name: str | None) -> None:
    gateway = Gateway(answer)
    found = await gateway.inbox().last()
    assert (found.name if found else None) == name
    assert (len(gateway.requests), gateway.pauses) == (1, [])


async def test_the_gateway_says_how_long_to_wait_within_bounds() -> None:
    gateway = Gateway(
        refusal(503, **{"Retry-After": "0"}),
        refusal(503, **{"Retry-After": "3600"}),
        refusal(503, **{"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}),
        httpx2.Response(200, json=task()),
    )
    await gateway.inbox().fetch()
    assert gateway.pauses == [0.0, 0.05, 0.04]


async def test_what_does_not_pass_is_not_tried_again() -> None:
    gateway = Gateway(refusal(403, "AgentUnknown", "no such agent"))
    with pytest.raises(
        CannotReportError, match="does not hand out a task: HTTP 403 AgentUnknown: no such agent"
    ):
        await gateway.inbox().fetch()
    assert len(gateway.requests) == 1


async def test_waiting_ends() -> None:
    settings = replace(SETTINGS, bounds=replace(FAST, fetch_timeout_seconds=0.05))
    gateway = Gateway(refusal(503, "NotSynced", "starting"))
    inbox = Inbox(httpx2.AsyncClient(transport=httpx2.MockTransport(gateway.respond)), settings)
    with pytest.raises(
        CannotReportError, match=r"gave no answer in 0\.05 seconds: HTTP 503 NotSynced: starting"
    ):
        await inbox.fetch()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>"])
async def test_a_task_that_can_not_be_read_is_an_error(body: bytes) -> None:
    with pytest.raises(CannotReportError, match="task can't be read"):
        await Gateway(httpx2.Response(200, content=body)).inbox().fetch()


async def test_an_output_is_posted() -> None:
    gateway = Gateway(httpx2.Response(204))
    assert await gateway.inbox().post_output({"score": 1})
    assert gateway.requests[0].content == b'{"output":{"score":1}}'
    assert str(gateway.requests[0].url) == "https://gateway/v1/task/result"


async def test_a_failure_is_posted_on_one_line() -> None:
    gateway = Gateway(httpx2.Response(204))
    assert await gateway.inbox().post_failure(Failure(FailureReason.MODEL_DENIED, "no\nway"))
    assert gateway.requests[0].content == b'{"failure":{"reason":"ModelDenied","message":"no way"}}'


async def test_a_task_that_has_ended_takes_nothing() -> None:
    assert not await Gateway(refusal(409)).inbox().post_output({})
    assert not await Gateway(refusal(409)).inbox().post_failure(Failure(FailureReason.MODEL_DENIED, "no"))


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (
            {
                "error": {
                    "code": "OutputInvalid",
                    "details": [{"path": "score", "message": "too high"}, {"message": "b"}],
                }
            },
            ("score: too high", "b"),
        ),
        ({"error": {"code": "OutputInvalid", "message": "no object"}}, ("no object",)),
        ({}, ("the output does not fit the agent's schema",)),
        ({"error": "odd"}, ("the output does not fit the agent's schema",)),
    ],
)
async def test_a_misfit_says_what_does_not_fit(body: object, problems: tuple[str, ...]) -> None:
    with pytest.raises(OutputRefusedError) as caught:
        await Gateway(httpx2.Response(422, json=body)).inbox().post_output({})
    assert caught.value.problems == problems


@pytest.mark.parametrize("status", [400, 413])
async def test_an_output_that_is_too_large_or_odd_can_be_repaired_too(status: int) -> None:
    with pytest.raises(OutputRefusedError, match="too much"):
        await Gateway(refusal(status, message="too much")).inbox().post_output({})


async def test_a_failure_that_is_refused_can_not_be_reported() -> None:
    with pytest.raises(CannotReportError, match="refuses the failure ModelDenied: why"):
        await Gateway(refusal(422)).inbox().post_failure(Failure(FailureReason.MODEL_DENIED, "no"))


async def test_a_result_is_posted_again_until_there_is_an_answer() -> None:
    gateway = Gateway(refusal(502), refusal(503), httpx2.Response(204))
    assert await gateway.inbox().post_output({})
    assert len(gateway.requests) == 3
