"""The API server as the tests ask it: over a connection that stays, since each kubectl costs far more than its question does.

``kubectl proxy`` knows every way to log in that a kubeconfig can name; what is asked goes through it, over a Unix socket.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx2

from aos.kube import resources
from aos.kube.resources import SELF_SUBJECT_REVIEWS, Resource
from aos.model.base import JsonObject
from hack.cluster.handle import Handle
from hack.cluster.kubectl import wait_until

APPLY: Final = "application/apply-patch+yaml"
FIELD_MANAGER: Final = "aos-e2e"
START_SECONDS: Final = 20.0
ANSWER_SECONDS: Final = 60.0
NOT_FOUND: Final = 404

_KNOWN = (
    *(value for value in vars(resources).values() if isinstance(value, Resource)),
    Resource("batch", "v1", "jobs", "Job"),
)
KINDS: Final = {name: one for one in _KNOWN for name in (one.plural, one.kind.lower())}
"""By the names that kubectl takes, such as ``task`` and ``tasks``, in small letters."""


class Api:
    """Requests to one API server, as its administrator. Any answer but a good one is an AssertionError."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def whoami(self) -> JsonObject:
        """Return what the API server takes the administrator for."""
        return self._send("POST", SELF_SUBJECT_REVIEWS.path(), content="{}")

    def find(self, kind: str, name: str, namespace: str = "") -> JsonObject | None:
        """Return one object; None where there is none."""
        answer = self._http.get(_path(kind, name, namespace))
        return None if answer.status_code == NOT_FOUND else _read(answer)

    def items(self, kind: str, namespace: str = "", selector: str = "") -> list[JsonObject]:
        """Return the objects of a kind; without a namespace, of all of them."""
        query = {"labelSelector": selector} if selector else {}
        resource = KINDS[kind.lower()]
        found = self._send("GET", resource.path(namespace), **query)
        items = found["items"]
        assert isinstance(items, list)
        # As kubectl shows them: an item of a list does not say by itself what it is.
        what: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**what, **item} for item in items if isinstance(item, dict)]

    def apply(self, manifest: JsonObject) -> None:
        """Make the cluster so, whoever made it otherwise before."""
        metadata = manifest["metadata"]
        assert isinstance(metadata, dict)
        path = _path(str(manifest["kind"]), str(metadata["name"]), str(metadata.get("namespace", "")))
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        self._send("PATCH", path, content=json.dumps(manifest), content_type=APPLY, **query)

    def delete(
        self, kind: str, name: str, namespace: str = "", *, grace_seconds: int | None = None
    ) -> str | None:
        """Ask for an object to go; return its uid, or None where there was none."""
        query = {} if grace_seconds is None else {"gracePeriodSeconds": str(grace_seconds)}
        answer = self._http.delete(
            _path(kind, name, namespace), params={"propagationPolicy": "Background", **query}
        )
        if answer.status_code == NOT_FOUND:
            return None
        told = _read(answer)
        # The API server answers with what is left of the object, or with what it was.
        place = told["metadata"] if told.get("kind") != "Status" else told.get("details")
        assert isinstance(place, dict)
        return str(place["uid"])

    def log(self, pod: str, namespace: str) -> str:
        """Return all that a pod has printed."""
        answer = self._http.get(f"{_path('pod', pod, namespace)}/log")
        assert answer.is_success, answer.text
        return answer.text

    def _send(
        self, method: str, path: str, content: str | None = None, content_type: str = "", **query: str
    ) -> JsonObject:
        headers = {"Content-Type": content_type or "application/json"}
        return _read(self._http.request(method, path, content=content, headers=headers, params=query))


def _path(kind: str, name: str, namespace: str) -> str:
    resource = KINDS[kind.lower()]
    return resource.object_path(namespace if resource.namespaced else "", name)


def _read(answer: httpx2.Response) -> JsonObject:
    found = answer.json()
    assert answer.is_success, f"{answer.request.method} {answer.request.url.path}: {found['message']}"
    assert isinstance(found, dict)
    return found


@contextmanager
def api_of(node: Handle) -> Iterator[Api]:
    """Lend what asks the API server of a cluster."""
    # A path of pytest's own is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="aos-e2e-") as folder:
        socket = Path(folder) / "api.sock"
        command = [str(node.program), f"--kubeconfig={node.kubeconfig}", "proxy", f"--unix-socket={socket}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as proxy:
            try:
                assert wait_until(socket.exists, START_SECONDS), "kubectl proxy does not listen"
                transport = httpx2.HTTPTransport(uds=str(socket))
                with httpx2.Client(
                    transport=transport, base_url="http://localhost", timeout=ANSWER_SECONDS
                ) as http:
                    yield Api(http)
            finally:
                with suppress(ProcessLookupError):
                    proxy.terminate()
