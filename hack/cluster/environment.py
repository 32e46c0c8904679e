"""The environment that a cluster's programs run in."""

import os
from collections.abc import Mapping

_LEFT_OUT = ("KUBECONFIG", "KUBERNETES_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "ETCD_", "GOFLAGS")


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give this process's environment without what would send a cluster's programs elsewhere."""
    return {name: value for name, value in environment.items() if not name.upper().startswith(_LEFT_OUT)}
