"""Options that commands share."""

from pathlib import Path
from typing import Annotated

import typer

from aos.cli.connection import Connection
from aos.cli.formats import DataFormat

Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Kubeconfig file; else $KUBECONFIG, ~/.kube/config, the pod's own.",
    ),
]
KubeContext = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAME", help="Namespace; else the context's own, else default."
    ),
]
Output = Annotated[DataFormat | None, typer.Option("-o", "--output", help="Print it for programs.")]


def connection_of(context: typer.Context, own: Connection) -> Connection:
    """Return the options given before the command, with those after it in their place."""
    above = context.obj
    return above.overridden_by(own) if isinstance(above, Connection) else own
