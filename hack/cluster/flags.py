"""The command lines of Kubernetes' own programs, shared by the control plane alone and the node."""

from pathlib import Path

API_SERVICE_ADDRESS = "10.96.0.1"
DNS_SERVICE_ADDRESS = "10.96.0.10"
SERVICE_RANGE = "10.96.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"


def etcd(data: Path, client_url: str, peer_url: str) -> tuple[str, ...]:
    """Give etcd's flags; its data lasts as long as the cluster, so nothing waits for the disk."""
    return (
        f"--data-dir={data}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--log-level=warn",
    )


def api_server(pki: Path, etcd_url: str, address: str, port: int) -> tuple[str, ...]:
    """Give the API server's flags."""
    return (
        f"--etcd-servers={etcd_url}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={port}",
        f"--tls-cert-file={pki / 'serving.crt'}",
        f"--tls-private-key-file={pki / 'serving.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
    )


def controller_manager(pki: Path, kubeconfig: Path) -> tuple[str, ...]:
    """Give the controller manager's flags; the high rates let the first service account exist seconds earlier."""
    return (
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
    )
