"""The command line: `python -m hack.cluster COMMAND`. Results go to standard output, progress to standard error."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import backends, programs
from hack.cluster.archives import archive_of
from hack.cluster.backends import Backend
from hack.cluster.errors import ClusterError
from hack.cluster.paths import Paths
from hack.cluster.progress import say, step

_INTERRUPTED = 130


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
        return _INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(
        prog="python -m hack.cluster", description="A real Kubernetes on this machine."
    )
    top.add_argument(
        "--state", type=Path, help="state directory (default: $AOS_CLUSTER_HOME or the XDG state home)"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    which = _which_cluster()

    up = commands.add_parser(
        "up", parents=[which], help="bring a cluster up, or repair it; a second time is free"
    )
    up.set_defaults(run=_up)
    prepare = commands.add_parser(
        "prepare", parents=[which], help="build or fetch everything that `up` needs, and start nothing"
    )
    prepare.set_defaults(run=_prepare)
    down = commands.add_parser("down", parents=[which], help="end the cluster and leave nothing of it")
    down.set_defaults(run=_down)
    status = commands.add_parser(
        "status", parents=[which], help="tell how it is; exits with 1 when it is not up"
    )
    status.set_defaults(run=_status)
    config = commands.add_parser("kubeconfig", parents=[which], help="print the path of a kubeconfig")
    config.add_argument("--user", help="mint a client certificate for this user instead of the administrator")
    config.add_argument("--group", action="append", default=[], help="a group of that user; may be repeated")
    config.set_defaults(run=_kubeconfig)
    load = commands.add_parser("load", parents=[which], help="put an image into the cluster")
    load.add_argument(
        "image", help="path of an image archive, or the name of an image of Docker's or buildah's"
    )
    load.set_defaults(run=_load)
    tool = commands.add_parser("tool", help="print the path of a tool, and build it when there is none")
    tool.add_argument("name", choices=("kubectl", "helm"))
    tool.set_defaults(run=_tool)
    return top


def _which_cluster() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    choice = options.add_mutually_exclusive_group()
    choice.add_argument(
        "--control-plane", action="store_true", help="a control plane on 127.0.0.1, without a node"
    )
    choice.add_argument(
        "--kubeconfig", type=Path, help="a cluster of your own; never created, changed or ended"
    )
    choice.add_argument(
        "--kind-name", help="a kind cluster by its name; made when there is none, ended only if made here"
    )
    return options


def _backend(paths: Paths, options: argparse.Namespace) -> Backend:
    return backends.select(
        paths,
        control_plane=options.control_plane,
        kubeconfig=options.kubeconfig,
        kind_name=options.kind_name,
    )


def _prepare(paths: Paths, options: argparse.Namespace) -> int:
    _backend(paths, options).prepare()
    return 0


def _up(paths: Paths, options: argparse.Namespace) -> int:
    _backend(paths, options).up()
    return 0


def _down(paths: Paths, options: argparse.Namespace) -> int:
    backend = _backend(paths, options)
    was_there = _is_there(paths, options)
    backend.down()
    if options.kubeconfig is None and options.kind_name is None:
        what = "the control plane" if options.control_plane else "the cluster"
        said = f"{what} is ended" if was_there else f"{what} is not up, so there was nothing to end"
        say(said + _the_other(paths, options, "down", "ends it"))
    return 0


def _status(paths: Paths, options: argparse.Namespace) -> int:
    status = _backend(paths, options).status()
    print(status.sentence + ("" if status.made else _the_other(paths, options, "status", "tells how it is")))
    return 0 if status.is_up else 1


def _is_there(paths: Paths, options: argparse.Namespace) -> bool:
    if options.control_plane:
        return paths.control_plane.exists()
    return paths.node.exists() or paths.kind_record().exists()


def _the_other(paths: Paths, options: argparse.Namespace, command: str, does: str) -> str:
    """Return what a person may have meant instead: the control plane stands beside the cluster, in the same state directory."""
    if options.control_plane or options.kubeconfig or options.kind_name or not paths.control_plane.exists():
        return ""
    return f"; there is a control plane without a node: `{command} --control-plane` {does}"


def _kubeconfig(paths: Paths, options: argparse.Namespace) -> int:
    handle = _backend(paths, options).handle()
    print(handle.user(options.user, *options.group) if options.user else handle.kubeconfig)
    return 0


def _load(paths: Paths, options: argparse.Namespace) -> int:
    cluster = _backend(paths, options)
    with step(f"loading {options.image}"), archive_of(options.image) as archive:
        cluster.load(archive)
    return 0


def _tool(paths: Paths, options: argparse.Namespace) -> int:
    print(programs.tool(paths, options.name))
    return 0
