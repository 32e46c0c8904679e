"""The servers that are compared, each running: the gateway with everything on, a bare proxy on its stack, and nginx."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.ports import free_port
from tests.bench.gateway_world import SYSTEM
from tests.bench.processes import LOOPBACK, Program, running

_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  upstream tool {{
    server {address}:{upstream};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen {address}:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://tool;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Target:
    """One server that is measured."""

    name: str
    port: int
    program: Program


@dataclass(frozen=True)
class Files:
    """The certificate that all of them show."""

    certificate: Path
    key: Path


@contextmanager
def tool(port: int, folder: Path) -> Iterator[Program]:
    """Run the tool that all of them forward to."""
    with running(
        "tool", [sys.executable, "-m", "tests.bench.gateway_servers", "tool", str(port)], folder
    ) as program:
        program.wait_for_port(port)
        yield program


@contextmanager
def gateway(kubeconfig: Path, folder: Path) -> Iterator[Target]:
    """Run the gateway as it runs in its pod, but on loopback."""
    port = free_port()
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "POD_NAMESPACE": SYSTEM,
        "AOS_LISTEN_ADDRESS": LOOPBACK,
        "AOS_PORT": str(port),
        "AOS_ADMIN_PORT": str(free_port()),
        "AOS_HEALTH_PORT": str(free_port()),
        "AOS_HOOK_PORT": "0",
        "AOS_STOP_DELAY_SECONDS": "0",
        "AOS_STORE_URL": f"sqlite://{folder}/store.db",
    }
    with running(
        "gateway", [str(Path(sys.executable).with_name("aos")), "gateway"], folder, environment
    ) as program:
        program.wait_for_port(port)
        yield Target("gateway", port, program)


@contextmanager
def bare_proxy(upstream: int, files: Files, folder: Path) -> Iterator[Target]:
    """Run the proxy that only forwards."""
    port = free_port()
    arguments = ["proxy", str(port), str(upstream), str(files.certificate), str(files.key)]
    with running(
        "proxy", [sys.executable, "-m", "tests.bench.gateway_servers", *arguments], folder
    ) as program:
        program.wait_for_port(port)
        yield Target("bare proxy", port, program)


@contextmanager
def libraries(upstream: int, files: Files, folder: Path) -> Iterator[Target]:
    """Run the proxy that asks the gateway's libraries for what the gateway does, and has nothing of AOS's own."""
    port = free_port()
    arguments = [str(port), str(upstream), str(files.certificate), str(files.key), str(folder / "floor.db")]
    with running(
        "libraries", [sys.executable, "-m", "tests.bench.gateway_libraries", *arguments], folder
    ) as program:
        program.wait_for_port(port)
        yield Target("libraries alone", port, program)


@contextmanager
def nginx(upstream: int, files: Files, folder: Path) -> Iterator[Target | None]:
    """Run nginx with one worker; None where it is not installed."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        yield None
        return
    port = free_port()
    own = folder / "nginx"
    own.mkdir()
    config = own / "nginx.conf"
    config.write_text(
        _NGINX.format(
            folder=own,
            address=LOOPBACK,
            upstream=upstream,
            port=port,
            certificate=files.certificate,
            key=files.key,
        )
    )
    with running("nginx", [found, "-p", str(own), "-e", "stderr", "-c", str(config)], folder) as program:
        program.wait_for_port(port)
        yield Target("nginx", port, program)
