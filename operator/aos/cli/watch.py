"""Follows one Task from its creation to its end: what the API server tells goes through a `Story` to a `Progress`."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from aos.cli.exits import CommandError, ExitCode
from aos.cli.progress import Progress
from aos.cli.story import Story, TaskEvent
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import ApiError
from aos.kube.informer import Informer, InvalidObject
from aos.kube.resources import APPROVAL_REQUESTS, EVENTS, TASKS, Resource
from aos.model.approval_request import ApprovalRequest, AskedCall
from aos.model.duration import duration_seconds
from aos.model.meta import ObjectKey
from aos.model.names import LABEL_TASK
from aos.model.task import Task

REMIND_SECONDS: Final = 5.0
"""Between two looks whether to say again what is waited for."""

Notice = Task | TaskEvent | ApprovalRequest | CommandError
Send = Callable[[Notice], None]


async def follow(
    client: ApiClient, task: Task, shown: Progress, timeout_seconds: float, *, moves: bool = False
) -> Task:
    """Show what happens to the Task until it ends, and return it as it then is.

    Args:
        client: where the Task is.
        task: as it was created.
        shown: where to tell.
        timeout_seconds: how long to follow it.
        moves: whether the time that the Task waits for people comes on top of that.

    Raises:
        CommandError: it was deleted, or did not end in time.
        ApiError: it may not be watched.
    """
    story = Story()
    ends_at = asyncio.get_running_loop().time() + timeout_seconds
    try:
        async with asyncio.timeout_at(ends_at) as limit, _notices(client, task, shown) as notices:
            while True:
                notice = await _next(notices, lambda: shown.wait_for(story.waiting_for))
                if isinstance(notice, CommandError):
                    raise notice
                for line in _told(story, notice):
                    shown.say(line)
                if isinstance(notice, Task) and moves:
                    limit.reschedule(ends_at + moved_seconds(notice))
                if isinstance(notice, Task) and notice.ended:
                    return notice
    except TimeoutError as error:
        raise CommandError(
            ExitCode.TIMED_OUT,
            f"Task {task.key} did not end within {timeout_seconds:g} s{' of its own time' if moves else ''} and goes on"
            f" ({story.waiting_for});"
            f" `{kubectl('get', task)}` shows it",
        ) from error


async def _next(notices: asyncio.Queue[Notice], remind: Callable[[], None]) -> Notice:
    """Return the next notice; meanwhile ``remind`` is called again and again."""
    while True:
        remind()
        with suppress(TimeoutError):
            async with asyncio.timeout(REMIND_SECONDS):
                return await notices.get()


def moved_seconds(task: Task) -> float:
    """Return by how much the Task's deadline is later than its spec says, since its clock stands while people decide."""
    due_at, created = task.due_at, task.metadata.creation_timestamp
    if due_at is None or created is None:
        return 0.0
    return max(0.0, (due_at - created).total_seconds() - duration_seconds(task.spec.deadline))


def _told(story: Story, notice: Task | TaskEvent | ApprovalRequest) -> list[str]:
    match notice:
        case TaskEvent():
            return story.event(notice)
        case ApprovalRequest():
            return story.request(notice, datetime.now(UTC))
        case Task():
            return story.task(notice)


def kubectl(verb: str, task: Task) -> str:
    """Return the command by which a person goes on with the Task."""
    return f"kubectl {verb} task {task.metadata.name} -n {task.metadata.namespace}"


@asynccontextmanager
async def _notices(client: ApiClient, task: Task, shown: Progress) -> AsyncGenerator[asyncio.Queue[Notice]]:
    """Watch the Task and its events for the time of a block; what comes is in the queue."""
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    send = notices.put_nowait
    watches: list[asyncio.Task[None]] = []
    # An interrupt may come before all of them run: those that do must end before the client is closed.
    try:
        watches.append(asyncio.create_task(await _watch_task(client, task, send)))
        try:
            watches.append(asyncio.create_task(await _watch_events(client, task, send)))
        except ApiError as error:
            shown.say(f"events are not shown: {error.message}")
        try:
            watches.append(asyncio.create_task(await _watch_requests(client, task, send)))
        except ApiError as error:
            shown.say(f"calls that wait for people are not shown: {error.message}")
        yield notices
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


async def _watch_task(client: ApiClient, task: Task, send: Send) -> Coroutine[None, None, None]:
    selection = Selection(
        namespace=task.metadata.namespace, field_selector=f"metadata.name={task.metadata.name}"
    )
    if not await read_once(client, TASKS, selection):
        raise _deleted(task)

    def unreadable(invalid: InvalidObject) -> None:
        send(
            CommandError(
                ExitCode.REFUSED, f"Task {task.key} can't be read by this version of aos: {invalid.error}"
            )
        )

    informer = Informer(client, TASKS, Task.parse, selection=selection, on_invalid=unreadable)
    informer.add_handler(_TaskHandler(informer, task, send))
    return informer.run()


async def _watch_events(client: ApiClient, task: Task, send: Send) -> Coroutine[None, None, None]:
    selection = Selection(
        namespace=task.metadata.namespace, field_selector=f"regarding.uid={task.metadata.uid}"
    )
    await read_once(client, EVENTS, selection)
    informer = Informer(client, EVENTS, TaskEvent.parse, selection=selection)
    informer.add_handler(_EventHandler(send))
    return informer.run()


async def _watch_requests(client: ApiClient, task: Task, send: Send) -> Coroutine[None, None, None]:
    selection = Selection(
        namespace=task.metadata.namespace, label_selector=f"{LABEL_TASK}={task.metadata.name}"
    )
    await read_once(client, APPROVAL_REQUESTS, selection)
    informer = Informer(client, APPROVAL_REQUESTS, ApprovalRequest.parse, selection=selection)
    informer.add_handler(_RequestHandler(task, send))
    return informer.run()


async def read_once(client: ApiClient, resource: Resource, selection: Selection) -> int:
    """Return how many objects there are. An informer tries for ever what RBAC refuses, so this asks first."""
    return sum([1 async for _ in client.list(resource, selection)])


def _deleted(task: Task) -> CommandError:
    return CommandError(ExitCode.FAILURE, f"Task {task.key} was deleted, which cancels it")


class _TaskHandler:
    """Passes the Task on; another one of the same name means that it was deleted."""

    def __init__(self, informer: Informer[Task], task: Task, send: Send) -> None:
        self._informer = informer
        self._task = task
        self._send = send

    def added(self, key: ObjectKey, new: Task) -> None:
        del key
        self._send(new if new.metadata.uid == self._task.metadata.uid else _deleted(self._task))

    def updated(self, key: ObjectKey, old: Task, new: Task) -> None:
        del old
        self.added(key, new)

    def deleted(self, key: ObjectKey, old: Task) -> None:
        del old
        if key not in self._informer.invalid:
            self._send(_deleted(self._task))


def _is_of(request: ApprovalRequest, task: Task) -> bool:
    subject = request.spec.subject
    return isinstance(subject, AskedCall) and subject.task.uid == task.metadata.uid


class _RequestHandler:
    """Passes the Task's own requests on; they end with it."""

    def __init__(self, task: Task, send: Send) -> None:
        self._task = task
        self._send = send

    def added(self, key: ObjectKey, new: ApprovalRequest) -> None:
        del key
        if _is_of(new, self._task):
            self._send(new)

    def updated(self, key: ObjectKey, old: ApprovalRequest, new: ApprovalRequest) -> None:
        del old
        self.added(key, new)

    def deleted(self, key: ObjectKey, old: ApprovalRequest) -> None:
        del key, old


class _EventHandler:
    """Passes events on; one that expires says nothing."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def added(self, key: ObjectKey, new: TaskEvent) -> None:
        del key
        self._send(new)

    def updated(self, key: ObjectKey, old: TaskEvent, new: TaskEvent) -> None:
        del old
        self.added(key, new)

    def deleted(self, key: ObjectKey, old: TaskEvent) -> None:
        del key, old
