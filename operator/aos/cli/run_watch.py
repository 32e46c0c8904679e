"""Follows a run of a Workflow: a live tree on a terminal, elsewhere a line for each thing that changes."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import ValidationError

from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode
from aos.cli.formats import ObjectFormat
from aos.cli.namespaces import check_namespace
from aos.cli.output import as_data
from aos.cli.pending import terminal_width
from aos.cli.progress import PlainProgress
from aos.cli.run_news import changes
from aos.cli.run_tree import Tree, condition_of, critical_path, headline, tree_lines
from aos.cli.runs import run_data, run_reference
from aos.cli.watch import read_once
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import NotFound
from aos.kube.informer import Informer
from aos.kube.resources import WORKFLOW_RUNS
from aos.model.conditions import ConditionType
from aos.model.meta import ConditionStatus, ObjectKey
from aos.model.workflow_run import WorkflowRun

if TYPE_CHECKING:
    from rich.live import Live

REDRAW_SECONDS: Final = 1.0
"""Time passes for what is under way, also when nothing else changes."""


class View(Protocol):
    """Where a run is shown."""

    def show(self, old: WorkflowRun | None, tree: Tree) -> None:
        """Show how it stands now; ``old`` is how it was shown before."""


class PlainView:
    """A line for each thing that changes."""

    def __init__(self) -> None:
        self._progress = PlainProgress()

    def show(self, old: WorkflowRun | None, tree: Tree) -> None:
        """Print what changed."""
        for line in changes(old, tree.run):
            self._progress.say(line)


class LiveView:
    """The tree, drawn anew each time."""

    def __init__(self, live: "Live") -> None:
        self._live = live

    def show(self, old: WorkflowRun | None, tree: Tree) -> None:
        """Draw it."""
        from rich.text import Text

        del old
        # As Text: what an agent says must not be read as rich's markup.
        self._live.update(
            Text("\n".join(tree_lines(tree, datetime.now(UTC), terminal_width()))), refresh=True
        )


@contextmanager
def view() -> Iterator[View]:
    """Give a place that suits standard error."""
    if not sys.stderr.isatty():
        yield PlainView()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, vertical_overflow="visible") as live:
        yield LiveView(live)


async def watch_run(connection: Connection, name: str, style: ObjectFormat | None) -> ExitCode:
    """Follow the run to its end; its output is all that goes to standard output.

    Args:
        connection: where it is.
        name: of the run.
        style: how to print the run for programs; None for its output alone.

    Raises:
        CommandError: it is not there, or was deleted.
        ApiError: runs may not be watched.
    """
    namespace = connection.resolved_namespace()
    async with connection.client() as client:
        run = await read_run(client, ObjectKey(namespace=namespace, name=name))
        with view() as shown:
            ended = await follow_run(client, run, shown, timeout_seconds=None)
    return finish(ended, style)


def finish(run: WorkflowRun, style: ObjectFormat | None) -> ExitCode:
    """Print what is asked of a run that has ended, and return how the command ends."""
    now = datetime.now(UTC)
    for line in filter(None, (headline(run, now), critical_path(run))):
        print(line, file=sys.stderr)
    if style is ObjectFormat.NAME:
        print(run_reference(run))
    elif style is not None:
        print(as_data(run_data(run), style))
    elif run.status.output is not None:
        print(as_data(run.status.output, ObjectFormat.JSON))
    condition = condition_of(run, ConditionType.SUCCEEDED)
    is_success = condition is not None and condition.status is ConditionStatus.TRUE
    return ExitCode.SUCCESS if is_success else ExitCode.FAILURE


async def read_run(client: ApiClient, key: ObjectKey) -> WorkflowRun:
    """Return the run.

    Raises:
        CommandError: it is not there, or this version of aos can't read it.
        ApiError: it may not be read.
    """
    try:
        return WorkflowRun.parse(await client.get(WORKFLOW_RUNS, key.name, key.namespace))
    except NotFound as error:
        if "page not found" in error.message:
            raise
        await check_namespace(client, key.namespace)
        raise CommandError(
            ExitCode.REFUSED,
            f"there is no WorkflowRun {key.name} in namespace {key.namespace}; `aos runs -A` shows what there is",
        ) from error
    except ValidationError as error:
        raise CommandError(
            ExitCode.REFUSED, f"WorkflowRun {key} can't be read by this version of aos: {error}"
        ) from error


async def follow_run(
    client: ApiClient, run: WorkflowRun, shown: View, timeout_seconds: float | None
) -> WorkflowRun:
    """Show what happens to the run until it ends, and return it as it then is.

    Raises:
        CommandError: it was deleted, or did not end in time.
        ApiError: runs may not be watched.
    """
    try:
        async with asyncio.timeout(timeout_seconds), _seen(client, run.metadata.namespace) as seen:
            return await _shown_to_its_end(seen, run, shown)
    except TimeoutError as error:
        raise CommandError(
            ExitCode.TIMED_OUT,
            f"WorkflowRun {run.key} did not end within {timeout_seconds:g} s and goes on;"
            f" `aos watch {run.metadata.name} -n {run.metadata.namespace}` follows it further",
        ) from error


async def _shown_to_its_end(seen: "asyncio.Queue[_Seen]", run: WorkflowRun, shown: View) -> WorkflowRun:
    there: dict[str, WorkflowRun] = {}
    told: WorkflowRun | None = None
    current = run
    while True:
        shown.show(told, Tree(current, there))
        told = current
        if current.ended:
            return current
        for key, new in await _next(seen):
            if key.name == run.metadata.name and (new is None or new.metadata.uid != run.metadata.uid):
                raise CommandError(ExitCode.FAILURE, f"WorkflowRun {run.key} was deleted, which cancels it")
            if new is None:
                there.pop(key.name, None)
            else:
                there[key.name] = new
        current = there.get(run.metadata.name, current)


async def _next(seen: "asyncio.Queue[_Seen]") -> "list[_Seen]":
    """Return what has come; nothing, if nothing has for a while."""
    try:
        async with asyncio.timeout(REDRAW_SECONDS):
            found = [await seen.get()]
    except TimeoutError:
        return []
    while not seen.empty():
        found.append(seen.get_nowait())
    return found


_Seen = tuple[ObjectKey, WorkflowRun | None]


@asynccontextmanager
async def _seen(client: ApiClient, namespace: str) -> "AsyncGenerator[asyncio.Queue[_Seen]]":
    """Watch the namespace's runs for the time of a block, since steps may start more; what comes is in the queue."""
    selection = Selection(namespace=namespace)
    await read_once(client, WORKFLOW_RUNS, selection)
    queue: asyncio.Queue[_Seen] = asyncio.Queue()
    informer = Informer(client, WORKFLOW_RUNS, WorkflowRun.parse, selection=selection)
    informer.add_handler(_Handler(queue))
    running = asyncio.create_task(informer.run())
    try:
        yield queue
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class _Handler:
    """Passes runs on."""

    def __init__(self, queue: "asyncio.Queue[_Seen]") -> None:
        self._queue = queue

    def added(self, key: ObjectKey, new: WorkflowRun) -> None:
        self._queue.put_nowait((key, new))

    def updated(self, key: ObjectKey, old: WorkflowRun, new: WorkflowRun) -> None:
        del old
        self.added(key, new)

    def deleted(self, key: ObjectKey, old: WorkflowRun) -> None:
        del old
        self._queue.put_nowait((key, None))
