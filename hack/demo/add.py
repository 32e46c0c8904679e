"""``python -m hack.demo.add EXAMPLE ...``: brings further examples into the cluster that the demonstration left."""

import argparse
import os
import sys
from collections.abc import Sequence

from hack.cluster import backends
from hack.cluster.errors import ClusterError
from hack.cluster.progress import say
from hack.demo import example, installation
from hack.demo.access import Access
from hack.demo.diagnosis import diagnosis
from hack.demo.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Apply the named examples; 0 once their agents can take Tasks."""
    chosen = parser().parse_args(arguments).examples
    paths = installation.paths()
    access: Access | None = None
    try:
        settings = Settings.from_environment(os.environ, paths.state)
        backend = backends.select(paths, control_plane=False, kubeconfig=settings.kubeconfig, kind_name=None)
        access = Access(backend.handle(), paths)
        for name in chosen:
            installation.apply_example(access, settings, example.ALL[name])
            say(f"start its workflow with: kubectl create -f examples/{name}/run.yaml")
    except ClusterError as problem:
        say(f"error: {problem}")
        if access is not None:
            for block in diagnosis(access.kubectl):
                say(f"\n{block}")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="python -m hack.demo.add", description=__doc__)
    top.add_argument("examples", nargs="+", choices=sorted(example.ALL), metavar="EXAMPLE")
    return top


if __name__ == "__main__":
    sys.exit(main())
