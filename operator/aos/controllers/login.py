"""Kopf's way to the API server: the same that the rest of the operator takes."""

import os
from pathlib import Path

import kopf

from aos.kube.library import Configuration, config


async def connection_info(kubeconfig: Path | None) -> kopf.ConnectionInfo:
    """Return the API server's address and the credentials for it; Kopf asks again when they are refused.

    Args:
        kubeconfig: a file; None for ``$KUBECONFIG``, ``~/.kube/config`` or the pod's service account.

    Raises:
        ConfigException: there is no usable configuration.
    """
    configuration = Configuration()
    in_cluster = (
        kubeconfig is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ
    )
    if in_cluster:
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration, try_refresh_token=False
        )
    else:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig) if kubeconfig else None,
            client_configuration=configuration,
            persist_config=False,
        )
    bearer = (await configuration.auth_settings()).get("BearerToken")
    return kopf.ConnectionInfo(
        server=configuration.host.rstrip("/"),
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        token=_token(bearer["value"]) if bearer and bearer["value"] else None,
    )


def _token(header: str) -> str:
    """Return the token of an Authorization header; the pod's own configuration writes the scheme in small letters."""
    return header.rpartition(" ")[2]
