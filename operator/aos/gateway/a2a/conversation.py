"""What one Task hands to one agent, as far as it may see it: looked up, looked through, followed and listed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from pydantic import ValidationError

from aos.gateway.a2a.carrying import output_checked
from aos.gateway.a2a.handoffs import Handoffs
from aos.gateway.a2a.message import A2aRequest, read_listing
from aos.gateway.a2a.protocol import INVALID_PARAMS, TASK_NOT_FOUND, A2aError
from aos.gateway.a2a.views import TaskView, cancelled, page, view_of
from aos.gateway.caller import Caller
from aos.gateway.refusal import Refused
from aos.kube.errors import ApiError
from aos.model.base import JsonObject
from aos.model.task import Task


class Conversation:
    """What one Task hands to one agent, as far as it may see it."""

    def __init__(self, handoffs: Handoffs, caller: Caller, agent: str) -> None:
        self._handoffs = handoffs
        self.caller = caller
        self.agent = agent

    def check_context(self, said: str) -> None:
        """Check the conversation that a client names.

        Raises:
            A2aError: it is another than its Task's one.
        """
        if said not in ("", self.caller.task.metadata.uid):
            raise A2aError(
                INVALID_PARAMS,
                "message.contextId must be left out, or be the one that the gateway gives: all that one Task hands"
                " over is one conversation",
            )

    async def task(self, name: str) -> Task:
        """Return the Task that was handed over under this name.

        Raises:
            A2aError: there is none, or none that this Task handed to this agent.
        """
        try:
            found = await self._handoffs.children.find(self.caller, self.agent, name)
        except (ApiError, ValidationError):
            found = None
        if found is None:
            raise A2aError(
                TASK_NOT_FOUND, "this Task handed no Task of this id to this agent, or it was cancelled"
            )
        return found

    async def view(self, task: Task) -> TaskView:
        """Return what may be seen of ``task``: what its agent said is looked through on the way back."""
        view = view_of(task)
        if view.output is None and not (view.state.is_final and view.message):
            return view
        rules = self._handoffs.response_rules(self.caller, self.agent)
        said: JsonObject = {"output": view.output, "message": view.message}
        looked_at = await output_checked(self.caller.task.metadata.uid, rules, said)
        if isinstance(looked_at, Refused):
            return view.without_output(f"{looked_at.reason.value}: {looked_at.message}")
        value = looked_at.value
        if not isinstance(value, dict):
            raise TypeError("what was an object is one after inspection")
        output, message = value["output"], value["message"]
        return replace(
            view,
            message=message if isinstance(message, str) else "",
            output=output if isinstance(output, dict) else None,
        )

    async def views(self, task: Task, seconds: float) -> AsyncGenerator[TaskView]:
        """Yield what may be seen of the Task, now and at each change, until it is final or time is up."""
        last = view_of(task)
        async with aclosing(self._handoffs.children.follow(task, seconds)) as steps:
            async for step in steps:
                if step is None:
                    yield cancelled(last)
                    return
                last = view_of(step)
                yield await self.view(step)

    async def end(self, task: Task, seconds: float) -> TaskView:
        """Return what may be seen of the Task once it is final, or when time is up."""
        last = view_of(task)
        async for view in self.views(task, seconds):
            last = view
        return last

    async def page(self, asked: A2aRequest) -> JsonObject:
        """Return one page of what this Task handed to this agent."""
        wanted = read_listing(asked.params)
        own = self._handoffs.children.all(self.caller, self.agent)
        if wanted.context not in ("", self.caller.task.metadata.uid):
            own = []
        views = [await self.view(task) for task in own]
        chosen = [view for view in views if wanted.state in ("", view.state.value)]
        names = [view.id for view in chosen]
        start = names.index(wanted.after) + 1 if wanted.after in names else 0
        found = chosen[start : start + wanted.page_size]
        output = asked.params.get("includeArtifacts") is True
        return page(found, len(chosen), wanted.page_size, asked.dialect, output=output)
