"""In processes of their own: what a process has loaded once stays with it."""

import subprocess
import sys


def said_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_credentials_are_read_without_the_librarys_other_clients() -> None:
    loaded = set(said_by("import sys, aos.kube.credentials; print(*sys.modules)"))
    assert {"kubernetes.aio.config.kube_config", "kubernetes.aio.client.rest"} <= loaded
    assert not {"google.auth", "requests", "kubernetes.config", "kubernetes.aio.dynamic"} & loaded


def test_the_library_has_all_its_names_for_whoever_asks_for_them() -> None:
    names = said_by(
        "import aos.kube.library, kubernetes, kubernetes.aio; from kubernetes import client, config; "
        "print(client.CoreV1Api.__name__, config.load_kube_config.__name__, kubernetes.aio.watch.Watch.__name__, "
        "hasattr(kubernetes, 'none'))"
    )
    assert names == ["CoreV1Api", "load_kube_config", "Watch", "False"]
