"""Requests over real sockets, to a server that misbehaves on command."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from aos.kube.client import ApiClient, Selection
from aos.kube.credentials import Credentials
from aos.kube.errors import Gone, IdleWatch, Invalid, NotFound, Unauthorized, Unavailable
from aos.kube.resources import CONFIG_MAPS
from aos.kube.watching import WatchEvent

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
EVENT = b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"2"}}}\n'


class Server:
    """Gives the answers that a test puts in, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.reloads = 0
        self.token = "first"
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        return await self.answers.pop(0)(request)

    async def reload(self, configuration: Configuration) -> None:
        self.reloads += 1
        self.token = "second"
        configuration.api_key["BearerToken"] = f"Bearer {self.token}"

    def credentials(self) -> Credentials:
        configuration = Configuration(host=self.url, api_key={"BearerToken": "Bearer first"})
        return Credentials(configuration, self.reload)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[ApiClient]:
    async with ApiClient(server.credentials()) as client:
        yield client


def answer(status: int = 200, text: str = "{}", **headers: str) -> Answer:
    async def give(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(
            status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return give


def stream(*chunks: bytes, cut: bool = False, hang: bool = False) -> Answer:
    async def give(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if hang:
            await asyncio.sleep(60)
        if cut:
            assert request.transport
            request.transport.close()
        return response

    return give


async def watched(client: ApiClient, idle_seconds: float = 5) -> list[WatchEvent]:
    events = client.watch(CONFIG_MAPS, resource_version="1", idle_seconds=idle_seconds)
    return [event async for event in events]


async def test_a_request_carries_the_token_and_says_who_asks(server: Server, client: ApiClient) -> None:
    server.answers.append(answer(text='{"kind":"ConfigMap"}'))
    assert await client.get(CONFIG_MAPS, "a", "sales") == {"kind": "ConfigMap"}
    seen = server.seen[0]
    assert seen.path == "/api/v1/namespaces/sales/configmaps/a"
    assert seen.headers["Authorization"] == "Bearer first"
    assert seen.headers["User-Agent"].startswith("aos/")
    assert "Cookie" not in seen.headers


async def test_selectors_are_quoted(server: Server, client: ApiClient) -> None:
    server.answers.append(answer(text='{"items":[],"metadata":{}}'))
    selection = Selection("sales", "a in (b,c),d!=e+f&g", "metadata.name=x")
    assert [item async for item in client.list(CONFIG_MAPS, selection)] == []
    assert dict(server.seen[0].query) == {
        "labelSelector": "a in (b,c),d!=e+f&g",
        "fieldSelector": "metadata.name=x",
        "limit": "100",
    }


async def test_a_list_follows_the_pages_and_gives_each_item_its_kind(
    server: Server, client: ApiClient
) -> None:
    server.answers.append(answer(text='{"items":[{"metadata":{"name":"a"}}],"metadata":{"continue":"c/+="}}'))
    server.answers.append(answer(text='{"items":[{"metadata":{"name":"b"}}],"metadata":{}}'))
    items = [item async for item in client.list(CONFIG_MAPS, page_size=1)]
    assert [(item["kind"], item["apiVersion"]) for item in items] == [("ConfigMap", "v1")] * 2
    assert server.seen[1].query["continue"] == "c/+="


async def test_a_token_that_is_refused_is_read_anew_once(server: Server, client: ApiClient) -> None:
    server.answers += [answer(401), answer()]
    await client.get(CONFIG_MAPS, "a", "sales")
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer first", "Bearer second"]


async def test_a_token_that_is_refused_twice_is_an_error(server: Server, client: ApiClient) -> None:
    server.answers += [answer(401, '{"message":"Unauthorized"}')] * 2
    with pytest.raises(Unauthorized, match="get configmaps sales/a: Unauthorized"):
        await client.get(CONFIG_MAPS, "a", "sales")
    assert (len(server.seen), server.reloads) == (2, 1)


async def test_a_body_is_sent_again_with_the_new_token(server: Server, client: ApiClient) -> None:
    server.answers += [answer(401), answer(201)]
    await client.create(CONFIG_MAPS, {"metadata": {"namespace": "sales", "name": "a"}})
    assert server.bodies[0] == server.bodies[1] != b""


async def test_a_status_in_the_answer_becomes_its_error(server: Server, client: ApiClient) -> None:
    server.answers.append(answer(404, '{"kind":"Status","reason":"NotFound","message":"not found"}'))
    with pytest.raises(NotFound, match=r"get configmaps sales/a: not found \(404 NotFound\)"):
        await client.get(CONFIG_MAPS, "a", "sales")


@pytest.mark.parametrize(("after", "seconds"), [("7", 7), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("nan", 0)])
async def test_an_overload_names_the_wait(
    server: Server, client: ApiClient, after: str, seconds: int
) -> None:
    server.answers.append(answer(429, "slow down", Retry_After=after))
    with pytest.raises(Unavailable, match="slow down") as caught:
        await client.get(CONFIG_MAPS, "a", "sales")
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (answer(502, "<html>bad gateway"), Unavailable, "<html>bad gateway"),
        (answer(502, ""), Unavailable, "Bad Gateway"),
        (answer(400, "[1]"), Invalid, r"\[1\]"),
        (answer(200, "<html>"), Unavailable, "not JSON"),
        (answer(200, "[]"), Unavailable, "not a JSON object"),
    ],
)
async def test_an_answer_that_is_not_the_api_servers_is_an_error_with_words(
    server: Server, client: ApiClient, reply: Answer, error: type[Exception], words: str
) -> None:
    server.answers.append(reply)
    with pytest.raises(error, match=words):
        await client.get(CONFIG_MAPS, "a", "sales")


async def test_a_redirect_is_not_followed_with_the_token(server: Server, client: ApiClient) -> None:
    server.answers += [answer(302, "", Location="/elsewhere"), answer()]
    with pytest.raises(Exception, match="302"):
        await client.get(CONFIG_MAPS, "a", "sales")
    assert len(server.seen) == 1


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = Server()
        server.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with ApiClient(server.credentials()) as client:
            said = f"the API server at {server.url} did not answer: connection refused"
            with pytest.raises(Unavailable, match=f"^get configmaps sales/a: {said}$"):
                await client.get(CONFIG_MAPS, "a", "sales")
            with pytest.raises(Unavailable, match=f"^watch configmaps: {said}$"):
                await watched(client)


async def test_a_request_without_answer_is_given_up(
    server: Server, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aos.kube.transport.REQUEST_TIMEOUT_SECONDS", 0.05)
    server.answers.append(stream(b"{", hang=True))
    with pytest.raises(Unavailable, match="did not answer"):
        await client.get(CONFIG_MAPS, "a", "sales")


async def test_an_answer_that_is_cut_off_is_unavailable(server: Server, client: ApiClient) -> None:
    server.answers.append(stream(b'{"kind":', cut=True))
    with pytest.raises(Unavailable, match="did not answer"):
        await client.get(CONFIG_MAPS, "a", "sales")


async def test_a_watch_asks_for_bookmarks_from_its_position(server: Server, client: ApiClient) -> None:
    server.answers.append(stream(EVENT[:20], EVENT[20:] + EVENT))
    assert len(await watched(client)) == 2
    assert dict(server.seen[0].query) == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "1",
        "timeoutSeconds": "60",
    }


async def test_a_watch_that_is_refused_is_an_error(server: Server, client: ApiClient) -> None:
    server.answers.append(answer(410, '{"reason":"Expired","message":"too old"}'))
    with pytest.raises(Gone, match="too old"):
        await watched(client)


async def test_a_watch_that_is_cut_off_is_unavailable(server: Server, client: ApiClient) -> None:
    server.answers.append(stream(EVENT, cut=True))
    with pytest.raises(Unavailable, match="did not answer"):
        await watched(client)


async def test_a_watch_that_ends_within_an_event_is_unavailable(server: Server, client: ApiClient) -> None:
    server.answers.append(stream(EVENT, EVENT[:9]))
    with pytest.raises(Unavailable, match="cut off"):
        await watched(client)


async def test_a_silent_watch_is_given_up(server: Server, client: ApiClient) -> None:
    server.answers.append(stream(EVENT, hang=True))
    with pytest.raises(IdleWatch, match=r"nothing came for 0\.05 s"):
        await watched(client, idle_seconds=0.05)


async def test_an_empty_name_is_never_sent_for_it_would_mean_the_whole_collection(
    server: Server, client: ApiClient
) -> None:
    for attempt in (
        client.delete(CONFIG_MAPS, "", namespace="sales"),
        client.get(CONFIG_MAPS, "", "sales"),
        client.merge_patch(CONFIG_MAPS, "", {}, namespace="sales"),
        client.apply(CONFIG_MAPS, {"metadata": {"namespace": "sales"}}, field_manager="us"),
    ):
        with pytest.raises(ValueError, match="can't be a name"):
            await attempt
    assert server.seen == []


async def test_a_token_under_review_is_in_no_message(server: Server, client: ApiClient) -> None:
    server.answers.append(answer(500, '{"message":"broken"}'))
    with pytest.raises(Unavailable) as caught:
        await client.token_review("top-secret", ("aos-gateway",))
    assert "top-secret" not in str(caught.value)
    assert b"top-secret" in server.bodies[0]


async def test_a_stream_behind_the_proxy_carries_headers_but_never_other_credentials(
    server: Server, client: ApiClient
) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"one\ntwo\n")

    server.answers.append(answer)
    headers = {"X-AOS-Token": "t", "Authorization": "Bearer other"}
    async with client.stream("GET", "/proxy/v1", query={"a": "b c"}, headers=headers) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"one\ntwo\n"
    (seen,) = server.seen
    assert (seen.headers["X-AOS-Token"], seen.headers["Authorization"]) == ("t", "Bearer first")
    assert seen.path_qs == "/proxy/v1?a=b+c"


async def test_a_stream_that_falls_silent_is_unavailable(server: Server, client: ApiClient) -> None:
    silent = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await silent.wait()
        return response

    server.answers.append(answer)
    with pytest.raises(Unavailable, match=r"nothing came for 0\.05 s"):
        async with client.stream("GET", "/x", query={}, headers={}, idle_seconds=0.05) as chunks:
            [chunk async for chunk in chunks]
    silent.set()
