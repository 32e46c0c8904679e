"""A short way to the API server for what tests set up and look at: to start kubectl takes thirty times as long."""

import base64
import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import yaml
from pydantic import JsonValue

from aos.kube.resources import (
    AGENTS,
    APPROVAL_REQUESTS,
    CLUSTER_POLICIES,
    MODELS,
    NAMESPACES,
    POLICIES,
    ROLE_BINDINGS,
    ROLES,
    TASKS,
    TOOLS,
    WORKFLOW_RUNS,
    WORKFLOWS,
    Resource,
)
from aos.model.base import JsonObject

_RETRIES = 10
MERGE_PATCH = "application/merge-patch+json"
KINDS = {
    **{
        resource.kind.lower(): resource
        for resource in (
            AGENTS,
            TOOLS,
            MODELS,
            POLICIES,
            CLUSTER_POLICIES,
            WORKFLOWS,
            WORKFLOW_RUNS,
            TASKS,
            NAMESPACES,
            ROLES,
            ROLE_BINDINGS,
        )
    },
    **dict.fromkeys(("approvalrequest", "apr"), APPROVAL_REQUESTS),
}


class RefusedError(Exception):
    """The API server said no, in its own words.

    Attributes:
        reason: its code.
    """

    def __init__(self, message: JsonValue, reason: JsonValue = None) -> None:
        super().__init__(message)
        self.reason = reason


class Api:
    """Requests of the user of one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            self._tls.load_cert_chain(pair.name)
        self._address = urlsplit(cluster["server"]).netloc
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}

    def request(
        self,
        method: str,
        path: str,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        **query: str,
    ) -> JsonObject:
        """Send a request, again where the API server asks for that, as kubectl does.

        Raises:
            RefusedError: the answer is no success.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body).encode()
        status, answer = self._answer(method, target, content, content_type)
        for _ in range(_RETRIES):
            if status != http.client.TOO_MANY_REQUESTS:
                break
            # Such as while it begins to store a kind that is new.
            time.sleep(1)
            status, answer = self._answer(method, target, content, content_type)
        if status >= http.client.BAD_REQUEST:
            raise RefusedError(answer.get("message", status), answer.get("reason"))
        return answer

    def _answer(
        self, method: str, target: str, content: bytes | None, content_type: str
    ) -> tuple[int, JsonObject]:
        with closing(http.client.HTTPSConnection(self._address, context=self._tls, timeout=60)) as connection:
            connection.request(method, target, content, {"Content-Type": content_type})
            response = connection.getresponse()
            answer: JsonObject = json.loads(response.read())
            return response.status, answer

    def create(self, manifest: JsonObject, namespace: str = "", *, dry_run: bool = False) -> JsonObject:
        """Create an object as `kubectl create` does: a field that is not known is refused."""
        resource = KINDS[str(manifest["kind"]).lower()]
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return self.request("POST", resource.path(namespace), manifest, **query)

    def try_apply(self, manifest: JsonObject) -> None:
        """Ask whether an object of any kind that is served would be taken; what it doesn't know of the object is refused.

        Raises:
            RefusedError: it would not.
        """
        group, kind = str(manifest["apiVersion"]), str(manifest["kind"])
        metadata = manifest["metadata"]
        assert isinstance(metadata, dict)
        names, is_namespaced = self._served(group)[kind]
        path = f"/apis/{group}" if "/" in group else f"/api/{group}"
        if is_namespaced:
            path += f"/namespaces/{metadata.get('namespace', 'default')}"
        try:
            # To apply it would look at it merged with an object of that name, if a test has left one.
            self.request("POST", f"{path}/{names}", manifest, fieldValidation="Strict", dryRun="All")
        except RefusedError as error:
            # That is the last thing that is looked at.
            if error.reason != "AlreadyExists":
                raise

    def _served(self, group: str) -> dict[str, tuple[str, bool]]:
        """Return what the kinds of a group and version are called in paths, and whether they are namespaced."""
        if group not in self._kinds:
            found = self.request("GET", f"/apis/{group}" if "/" in group else f"/api/{group}")["resources"]
            assert isinstance(found, list)
            self._kinds[group] = {
                str(item["kind"]): (str(item["name"]), bool(item["namespaced"]))
                for item in found
                if isinstance(item, dict) and "/" not in str(item["name"])
            }
        return self._kinds[group]

    def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        """Return an object."""
        return self.request("GET", resource.object_path(namespace, name))

    def patch_status(self, resource: Resource, namespace: str, name: str, status: JsonObject) -> JsonObject:
        """Change the status of an object."""
        path = resource.object_path(namespace, name, "status")
        return self.request("PATCH", path, {"status": status}, MERGE_PATCH)

    def names(self, resource: Resource, namespace: str) -> list[str]:
        """Return the names of a namespace's objects."""
        found = self.request("GET", resource.path(namespace))["items"]
        assert isinstance(found, list)
        return list(_names(found))


@cache
def api(kubeconfig: Path) -> Api:
    """Return the way of the user of a kubeconfig; the same one each time."""
    return Api(kubeconfig)


def _names(items: Iterable[JsonValue]) -> Iterable[str]:
    for item in items:
        assert isinstance(item, dict)
        metadata = item["metadata"]
        assert isinstance(metadata, dict)
        yield str(metadata["name"])
