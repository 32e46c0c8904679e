"""Hands the machine's own way to package indexes on to builds: settings of pip and apt, certificates, no host by name."""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "find-links", "proxy", "timeout", "retries")
_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
# Where the Dockerfile mounts the certificates.
_MOUNTED = "/run/secrets/ca.crt"


@dataclass(frozen=True)
class PipSettings:
    """What a build needs to reach the index as this machine does."""

    config: str
    authorities: Path | None


def pip_settings(environment: Mapping[str, str] = os.environ) -> PipSettings:
    """Gather pip's settings from its files and environment."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return settings_from(listed.stdout, environment)


def settings_from(listed: str, environment: Mapping[str, str]) -> PipSettings:
    """Judge the output of `pip config list`; what is set in the environment wins, as it does for pip."""
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, separator, value = line.partition("=")
        if separator:
            found[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    named = found.get("cert") or next(
        (environment[name] for name in _AUTHORITIES if environment.get(name)), None
    )
    authorities = Path(named) if named and Path(named).is_file() else None
    lines = ["[global]", *(f"{name} = {found[name]}" for name in _PIP_SETTINGS if _useful(name, found))]
    if authorities is not None:
        lines.append(f"cert = {_MOUNTED}")
    return PipSettings("\n".join(lines) + "\n", authorities)


def _useful(name: str, found: Mapping[str, str]) -> bool:
    # A folder of this machine means nothing inside a build.
    return name in found and not (name == "find-links" and not urlsplit(found[name]).netloc)


def debian_sources(suite: str) -> list[str]:
    """Give sources for a suite from the mirrors that this machine's apt uses; none when it uses none of Debian's."""
    targets = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(SITE)", "Created-By: Packages"]
    listed = subprocess.run(targets, capture_output=True, text=True, check=False)
    return sources_from(listed.stdout, suite)


def sources_from(listed: str, suite: str) -> list[str]:
    """Judge the output of `apt-get indextargets`: one `ORIGIN|LABEL|SITE` a line."""
    sites: dict[str, str] = {}
    for line in listed.splitlines():
        origin, _, rest = line.partition("|")
        label, _, site = rest.partition("|")
        if origin == "Debian":
            sites.setdefault(label, site.rstrip("/"))
    if "Debian" not in sites:
        return []
    lines = [f"deb {sites['Debian']} {name} main" for name in (suite, f"{suite}-updates")]
    if "Debian-Security" in sites:
        lines.append(f"deb {sites['Debian-Security']} {suite}-security main")
    return lines


def apt_options() -> list[str]:
    """Give the machine's apt settings that say how to get out, such as a proxy."""
    dumped = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False)
    return options_from(dumped.stdout)


def options_from(dumped: str) -> list[str]:
    """Keep proxies, time-outs and certificates of the output of `apt-config dump`."""
    wanted = ("::proxy", "::timeout", "::cainfo", "::verify-")
    return [
        line
        for line in dumped.splitlines()
        if any(word in line.partition(" ")[0].lower() for word in wanted) and not line.endswith(' "";')
    ]
