"""The task as the gateway hands it out at ``GET /v1/task``."""

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from aos.model.base import JsonObject


class Assignment(BaseModel):
    """One piece of work for this pod.

    Attributes:
        uid: Which Task it is; what is asked of the gateway is for this one and no other.
        name: The Task's name.
        revision: The agent's revision that the instructions belong to.
        instructions: What the agent's owner wants it to do; blank for an agent that has none.
        input: The Task's input; it already fits the agent's input schema.
        output_schema: JSON Schema of the output, if the agent has one.
        delegates: Names of the agents that it may hand work to.
        model: Name under which the gateway offers the agent's model; blank for an agent without one.
        deadline: When the operator ends the task.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    uid: str = ""
    name: str
    namespace: str
    agent: str
    revision: str = ""
    instructions: str = ""
    input: JsonObject = {}
    output_schema: JsonObject | None = None
    delegates: tuple[str, ...] = ()
    model: str = ""
    deadline: AwareDatetime | None = None

    def seconds_left(self, now: datetime) -> float | None:
        """Seconds from ``now`` to the deadline; None without one."""
        return None if self.deadline is None else (self.deadline - now).total_seconds()
