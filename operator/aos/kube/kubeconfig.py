"""Kubeconfig files as far as a person may have got them wrong: read before a library stumbles over them.

What they mean is Kubernetes' own client library's to say; see `aos.kube.credentials`.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from pydantic import JsonValue

from aos.kube.objects import child, text
from aos.model.base import JsonObject

_LISTS: Final = ("clusters", "contexts", "users")
_MAX_TOLD: Final = 10
_TLS: Final = "https://"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C is ten times as fast, which tells where a file has hundreds of clusters."""


class KubeconfigError(ValueError):
    """A kubeconfig can't be used; the message says what is wrong with it, on one line."""


@dataclass(frozen=True, slots=True)
class Context:
    """The context that is meant.

    Attributes:
        name: its name.
        namespace: the namespace that it names; empty for none.
    """

    name: str
    namespace: str


def read_context(files: str, context: str | None = None) -> Context:
    """Return the context that is meant, once all that it needs was found to be there.

    Args:
        files: one file, or several as ``$KUBECONFIG`` lists them; those that are not there count for nothing.
        context: its name; None for the current one.

    Raises:
        KubeconfigError: something is wrong.
    """
    merged = _merged(files)
    contexts = merged["contexts"]
    name = context or text(merged["current"], "current-context")
    if not name:
        raise KubeconfigError(f"it sets no current context; {_there_are('context', contexts)}")
    if name not in contexts:
        raise KubeconfigError(f"it has no context {name}; {_there_are('context', contexts)}")
    meant = child(child(contexts, name), "context")
    cluster = _named(merged, "cluster", name, text(meant, "cluster"))
    if not text(cluster, "server").startswith((_TLS, "http://")):
        raise KubeconfigError(f"cluster {text(meant, 'cluster')} has no server that begins with https://")
    _check_data(f"cluster {text(meant, 'cluster')}", cluster)
    # Whoever is anonymous may be so without TLS alone, as behind `kubectl proxy`.
    if text(meant, "user") or text(cluster, "server").startswith(_TLS):
        user = _named(merged, "user", name, text(meant, "user"))
        _check_data(f"user {text(meant, 'user')}", user)
    return Context(name, text(meant, "namespace"))


def _merged(files: str) -> dict[str, JsonObject]:
    """Return the entries of each list by name, and the current context; the first file that has an entry counts."""
    found: dict[str, JsonObject] = {name: {} for name in (*_LISTS, "current")}
    paths = [Path(name).expanduser() for name in files.split(os.pathsep) if name]
    there = [path for path in paths if path.exists()]
    if not there:
        raise KubeconfigError("there is no such file")
    for path in there:
        which = str(path) if len(paths) > 1 else "it"
        content = _content(path, which)
        for name in _LISTS:
            for entry in _entries(which, content, name):
                found[name].setdefault(text(entry, "name"), entry)
        # As the library has it, the last file that says so counts.
        found["current"].update({key: value for key, value in content.items() if key == "current-context"})
    return found


def _content(path: Path, which: str) -> JsonObject:
    try:
        content = _parsed(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KubeconfigError(f"{which} can't be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise KubeconfigError(f"{which} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{which} is not YAML{_place(error)}") from error
    if content is None:
        raise KubeconfigError(f"{which} is empty")
    if not isinstance(content, dict):
        raise KubeconfigError(f"{which} is no kubeconfig: it has no clusters, contexts and users")
    return content


def _parsed(content: str) -> object:
    try:
        return yaml.load(content, _LOADER)  # noqa: S506 - it is a safe one
    except yaml.YAMLError:
        return yaml.safe_load(content)  # it says better where


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": see line {mark.line + 1}" if isinstance(mark, yaml.Mark) else ""


def _entries(which: str, content: JsonObject, name: str) -> list[JsonObject]:
    entries = content.get(name) or []
    if not isinstance(entries, list):
        raise KubeconfigError(f"{which} has {name} that are no list")
    good = [item for item in entries if isinstance(item, dict) and text(item, "name")]
    if len(good) != len(entries):
        raise KubeconfigError(f"{which} has an entry of {name} without a name")
    return good


def _named(merged: Mapping[str, JsonObject], kind: str, context: str, name: str) -> JsonObject:
    """Return the cluster or user that the context names."""
    there = merged[f"{kind}s"]
    if not name:
        raise KubeconfigError(f"context {context} names no {kind}")
    if name not in there:
        raise KubeconfigError(
            f"context {context} names the {kind} {name}, which is not there; {_there_are(kind, there)}"
        )
    entry = child(there, name).get(kind)
    if not isinstance(entry, dict):
        raise KubeconfigError(f"{kind} {name} says nothing: there is no `{kind}:` in it")
    return entry


def _there_are(kind: str, names: Mapping[str, JsonValue]) -> str:
    told = ", ".join(sorted(names)[:_MAX_TOLD])
    return f"its {kind}s are {told}" if told else f"it has no {kind}s"


def _check_data(whose: str, entry: JsonObject) -> None:
    """Check what stands in the file itself; the library says of it only that its padding is wrong."""
    for key, value in entry.items():
        if not key.endswith("-data") or value is None:
            continue
        try:
            base64.standard_b64decode(str(value))
        except (binascii.Error, ValueError) as error:
            raise KubeconfigError(f"{key} of {whose} is not base64") from error
