"""The command line: `python -m hack.image build`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.paths import Paths
from hack.cluster.progress import say
from hack.cluster.source import docker_answers
from hack.image import inputs
from hack.image.builders import Request, with_docker, without_docker

DEFAULT_TAG = "localhost/aos:dev"
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when the image is there."""
    options = parser().parse_args(arguments)
    try:
        build(Request(options.tag, options.out, options.dockerfile))
    except ClusterError as problem:
        say(f"error: {problem}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on")
        return _INTERRUPTED
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="python -m hack.image", description="The image of AOS.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("build", help="build the image, unless nothing it is made from has changed")
    command.add_argument("--tag", default=DEFAULT_TAG, help=f"name of the image (default: {DEFAULT_TAG})")
    command.add_argument(
        "--dockerfile",
        default=inputs.DOCKERFILE,
        help="another Dockerfile of the repository, such as that of examples/own_image",
    )
    command.add_argument("--out", type=Path, help="write an image archive to this file too")
    return top


def build(request: Request) -> None:
    """Build the image in the way that this machine has."""
    paths = Paths.from_environment()
    if docker_answers():
        with_docker(request, paths)
    else:
        say(f"{request.tag} is in {without_docker(request, paths)}")
