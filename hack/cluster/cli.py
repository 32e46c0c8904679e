"""The command line: `python -m hack.cluster COMMAND`. Results go to standard output, progress to standard error."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import programs
from hack.cluster.control_plane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.paths import Paths
from hack.cluster.pki import Subject
from hack.cluster.progress import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what it was asked."""
    options = parser().parse_args(arguments)
    paths = Paths.from_environment(state=options.state)
    try:
        return int(options.run(paths, options))
    except ClusterError as problem:
        say(f"error: {problem}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on, or `down` to clear up")
        return 130


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(
        prog="python -m hack.cluster", description="A real Kubernetes on this machine."
    )
    top.add_argument(
        "--state", type=Path, help="state directory (default: $AOS_CLUSTER_HOME or the XDG state home)"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="bring a cluster up, or repair it; nothing happens when it is up")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="end the cluster and leave nothing")
    down.set_defaults(run=_down)
    status = commands.add_parser("status", help="tell how the cluster is; exits with 1 when it is not up")
    status.set_defaults(run=_status)
    config = commands.add_parser("kubeconfig", help="print the path of a kubeconfig")
    config.add_argument("--user", help="mint a client certificate for this user instead of the administrator")
    config.add_argument("--group", action="append", default=[], help="a group of that user; may be repeated")
    config.set_defaults(run=_kubeconfig)
    for command in (up, down, status, config):
        command.add_argument("--control-plane", action="store_true", help="the control plane without a node")
    tool = commands.add_parser("tool", help="print the path of a tool, and build it when there is none")
    tool.add_argument("name", choices=("kubectl", "helm"))
    tool.set_defaults(run=_tool)
    return top


def _up(paths: Paths, options: argparse.Namespace) -> int:
    del options
    ControlPlane(paths).up()
    return 0


def _down(paths: Paths, options: argparse.Namespace) -> int:
    del options
    ControlPlane(paths).down()
    return 0


def _status(paths: Paths, options: argparse.Namespace) -> int:
    del options
    health = ControlPlane(paths).health()
    print(f"control plane: {health.describe()}")
    return 0 if health.is_up else 1


def _kubeconfig(paths: Paths, options: argparse.Namespace) -> int:
    cluster = ControlPlane(paths)
    print(cluster.mint(Subject(options.user, tuple(options.group))) if options.user else cluster.kubeconfig)
    return 0


def _tool(paths: Paths, options: argparse.Namespace) -> int:
    print(programs.tool(paths, options.name))
    return 0
