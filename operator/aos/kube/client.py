"""A thin client of the API server over aiohttp: addresses, bodies and errors, never caches or retries."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import JsonValue

from aos.kube.credentials import Credentials
from aos.kube.errors import IdleWatch, Target, Unavailable
from aos.kube.objects import child, children, key_of, resource_version_of, text
from aos.kube.resources import (
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
    Resource,
)
from aos.kube.reviews import AccessRequest, TokenReview, UserInfo, is_allowed
from aos.kube.transport import APPLY, MERGE_PATCH, Call, Transport
from aos.kube.watching import EventDecoder, WatchEvent
from aos.model.base import JsonObject

PAGE_SIZE: Final = 100
"""Objects per answer of a list: a Task may be of more than a megabyte, and a page of them is in memory at once."""
WATCH_TIMEOUT_SECONDS: Final = 60
"""How long the API server holds a watch before it ends it in good order: a sign of life even where nothing happens.

Bookmarks are no such sign: an API server sends none for a kind that had no event since it started.
"""
WATCH_IDLE_SECONDS: Final = 75.0
"""A watch that is silent for longer than it should last is taken for dead."""


class Propagation(StrEnum):
    """What becomes of the children of a deleted object."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a collection are meant.

    Attributes:
        namespace: empty for all namespaces, and for cluster-wide kinds.
        label_selector: in the API server's spelling; empty for every object.
        field_selector: in the API server's spelling; empty for every object.
    """

    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""

    def query(self) -> dict[str, str]:
        """Return the selectors as parameters of a request."""
        named = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in named.items() if value}


EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True)
class Page:
    """One part of a list; the resource version is the whole list's."""

    items: tuple[JsonObject, ...]
    resource_version: str


class ApiClient:
    """Requests to one API server. Use it as an asynchronous context manager, or close it.

    Every method raises an `ApiError` that tells what to do: see `aos.kube.errors`. None tries again by itself,
    but for one renewed attempt after credentials that the API server no longer knew. A name that is empty or
    can't stand in an address is a `ValueError`, and nothing is sent.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._transport = Transport(credentials)

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """Return a client for the API server that is configured; nothing is sent yet.

        Args:
            kubeconfig: a file; None for ``$KUBECONFIG``, ``~/.kube/config`` or the pod's service account.
            context: a context of the kubeconfig; None for its current one.

        Raises:
            CredentialsError: no API server is configured.
        """
        return cls(await Credentials.load(kubeconfig, context))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections, watches included."""
        await self._transport.close()

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """Return one object.

        Raises:
            NotFound: it is not there.
        """
        target = Target("get", resource.plural, _key(namespace, name))
        return await self._transport.send(Call(target, "GET", resource.object_path(namespace, name)))

    async def list(
        self, resource: Resource, selection: Selection = EVERYTHING, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[JsonObject, None]:
        """Yield the objects selected, asking for them page by page.

        Raises:
            Gone: reading took so long that the list can't be finished; start anew.
        """
        async for page in self.list_pages(resource, selection, page_size):
            for item in page.items:
                yield item

    async def list_pages(
        self, resource: Resource, selection: Selection = EVERYTHING, page_size: int = PAGE_SIZE
    ) -> AsyncGenerator[Page, None]:
        """Yield the objects selected as one consistent list in parts; at least one part, perhaps empty.

        Items carry ``apiVersion`` and ``kind``, as single objects do.

        Args:
            resource: the collection.
            selection: which of its objects.
            page_size: most objects in a part; 0 for all in one.

        Raises:
            Gone: reading took so long that the list can't be finished; start anew.
        """
        target = Target("list", resource.plural, selection.namespace)
        query = selection.query()
        if page_size:
            query["limit"] = str(page_size)
        path = resource.path(selection.namespace)
        while True:
            raw = await self._transport.send(Call(target, "GET", path, query))
            items = children(raw, "items")
            for item in items:
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            yield Page(items, resource_version_of(raw))
            query["continue"] = text(child(raw, "metadata"), "continue")
            if not query["continue"]:
                return

    async def create(self, resource: Resource, manifest: Mapping[str, JsonValue]) -> JsonObject:
        """Create the object that the manifest describes, where its metadata says, and return it as stored.

        Raises:
            AlreadyExists: an object of that name is there.
            QuotaExceeded: a quota of the namespace is used up.
            Invalid: the manifest breaks a rule of its schema.
        """
        key = key_of(manifest)
        target = Target("create", resource.plural, _key(key.namespace, key.name))
        return await self._transport.send(Call(target, "POST", resource.path(key.namespace), body=manifest))

    async def apply(
        self,
        resource: Resource,
        manifest: Mapping[str, JsonValue],
        *,
        field_manager: str,
        force: bool = True,
    ) -> JsonObject:
        """Server-side apply: make these fields so, and drop those that this manager applied before and no more.

        Args:
            resource: the manifest's kind.
            manifest: with ``apiVersion``, ``kind`` and ``metadata.name``; only the fields to own.
            field_manager: in whose name.
            force: take fields over from other managers.

        Raises:
            Conflict: another manager owns a field and ``force`` is False, or a uid or version given is not the object's.
        """
        return await self._apply(resource, manifest, "", field_manager, force=force)

    async def apply_status(
        self,
        resource: Resource,
        manifest: Mapping[str, JsonValue],
        *,
        field_manager: str,
        force: bool = True,
    ) -> JsonObject:
        """As `apply`, for the status subresource: only ``status`` counts, and the object must be there.

        The API server does not heed a uid here, so that another object of the same name would take the status: give
        ``metadata.resourceVersion``, as `aos.kube.apply.apply_status` does.

        Raises:
            NotFound: the object is not there.
            Conflict: another manager owns a field and ``force`` is False, or the resource version is not the object's.
        """
        return await self._apply(resource, manifest, "status", field_manager, force=force)

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, JsonValue],
        *,
        namespace: str = "",
        subresource: str = "",
    ) -> JsonObject:
        """Merge ``patch`` into an object and return it; a null removes a field.

        Raises:
            Conflict: the patch names a ``metadata.resourceVersion`` that is no longer the object's.
        """
        target = Target("patch", resource.plural, _key(namespace, name))
        path = resource.object_path(namespace, name, subresource)
        return await self._transport.send(Call(target, "PATCH", path, {}, patch, MERGE_PATCH))

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = Propagation.BACKGROUND,
        grace_period_seconds: int | None = None,
    ) -> None:
        """Ask for an object's end.

        Args:
            resource: its kind.
            name: its name.
            namespace: its namespace; empty for cluster-wide kinds.
            uid: end only the object with this uid; empty for any.
            resource_version: end it only as it was at this version; empty for any.
            propagation: what becomes of its children.
            grace_period_seconds: for pods; None for the object's own.

        Raises:
            NotFound: it is not there.
            Conflict: the object of that name has another uid or version.
        """
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        conditions: JsonObject = {"uid": uid, "resourceVersion": resource_version}
        given: JsonObject = {name: value for name, value in conditions.items() if value}
        if given:
            options["preconditions"] = given
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        target = Target("delete", resource.plural, _key(namespace, name))
        await self._transport.send(
            Call(target, "DELETE", resource.object_path(namespace, name), body=options)
        )

    async def token_review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenReview:
        """Return the API server's verdict on a token.

        Args:
            token: as it came; it is never logged.
            audiences: whom the token must be meant for; empty for the API server itself.
        """
        spec: JsonObject = {"token": token}
        if audiences:
            spec["audiences"] = list(audiences)
        return TokenReview.parse(await self.create(TOKEN_REVIEWS, _review(TOKEN_REVIEWS, spec)))

    async def may(self, user: UserInfo, access: AccessRequest) -> bool:
        """Return whether the API server's authorizers let ``user`` do this (SubjectAccessReview)."""
        spec: JsonObject = {
            "user": user.username,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {name: list(values) for name, values in user.extra.items()},
            "resourceAttributes": access.attributes(),
        }
        review = _review(SUBJECT_ACCESS_REVIEWS, spec)
        return is_allowed(await self.create(SUBJECT_ACCESS_REVIEWS, review))

    async def may_i(self, access: AccessRequest) -> bool:
        """Return whether the API server's authorizers let this client do this (SelfSubjectAccessReview)."""
        review = _review(SELF_SUBJECT_ACCESS_REVIEWS, {"resourceAttributes": access.attributes()})
        return is_allowed(await self.create(SELF_SUBJECT_ACCESS_REVIEWS, review))

    async def self_subject_review(self) -> UserInfo:
        """Return whom the API server takes this client for."""
        raw = await self.create(SELF_SUBJECT_REVIEWS, _review(SELF_SUBJECT_REVIEWS, None))
        return UserInfo.parse(child(child(raw, "status"), "userInfo"))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, JsonValue] | None = None,
    ) -> JsonObject:
        """Send a request that has no method of its own here, such as ``GET /openid/v1/jwks``.

        Args:
            method: of HTTP.
            path: from the API server's root, already quoted.
            query: parameters.
            body: sent as JSON.
        """
        return await self._transport.send(Call(Target(method.lower(), path), method, path, query or {}, body))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Mapping[str, JsonValue] | None = None,
        idle_seconds: float = WATCH_IDLE_SECONDS,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a request and give its answer's bytes as they come; for what stands behind the API server's proxy.

        Args:
            method: of HTTP.
            path: from the API server's root, already quoted.
            query: parameters.
            headers: further ones; they are never logged.
            body: sent as JSON.
            idle_seconds: an answer that is silent for longer is given up.

        Raises:
            Unavailable: nothing came for ``idle_seconds``, or the connection broke.
        """
        target = Target(method.lower(), path)
        call = Call(target, method, path, query, body, headers=headers)
        try:
            async with self._transport.stream(call, idle_seconds) as chunks:
                yield chunks
        except TimeoutError as error:
            raise Unavailable(target, 0, "Timeout", f"nothing came for {idle_seconds:g} s") from error

    async def watch(
        self,
        resource: Resource,
        selection: Selection = EVERYTHING,
        *,
        resource_version: str,
        timeout_seconds: int = WATCH_TIMEOUT_SECONDS,
        idle_seconds: float = WATCH_IDLE_SECONDS,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield what happens after ``resource_version``, bookmarks included; end when the API server ends it in order.

        Close the iterator (`contextlib.aclosing`) when leaving it early.

        Args:
            resource: the collection.
            selection: which of its objects.
            resource_version: where to go on: of a list, an event or a bookmark.
            timeout_seconds: the API server ends the watch after this time.
            idle_seconds: a watch that is silent for so long is given up.

        Raises:
            Gone: the resource version is too old; list anew.
            IdleWatch: nothing came for ``idle_seconds``.
            Unavailable: the connection could not be made, or broke.
        """
        target = Target("watch", resource.plural, selection.namespace)
        query = {
            **selection.query(),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        decoder = EventDecoder(target)
        call = Call(target, "GET", resource.path(selection.namespace), query)
        try:
            async with self._transport.stream(call, idle_seconds) as chunks:
                async for chunk in chunks:
                    for event in decoder.feed(chunk):
                        yield event
        except TimeoutError as error:
            raise IdleWatch(target, 0, "IdleWatch", f"nothing came for {idle_seconds:g} s") from error
        decoder.end()

    async def _apply(
        self,
        resource: Resource,
        manifest: Mapping[str, JsonValue],
        subresource: str,
        field_manager: str,
        *,
        force: bool,
    ) -> JsonObject:
        key = key_of(manifest)
        target = Target("apply", resource.plural, _key(key.namespace, key.name))
        path = resource.object_path(key.namespace, key.name, subresource)
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        return await self._transport.send(Call(target, "PATCH", path, query, manifest, APPLY))


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _review(resource: Resource, spec: JsonObject | None) -> JsonObject:
    review: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind}
    if spec is not None:
        review["spec"] = spec
    return review
