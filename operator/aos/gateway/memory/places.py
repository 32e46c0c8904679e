"""Where a value that agents share is kept, and with whom it is shared. No I/O."""

from aos.gateway.control.charges import whole_of
from aos.model.task import Task
from aos.model.tool import Memory, MemoryScope, Tool

SCHEME = "memory://"
"""What the system of a call of such a Tool begins with, where others have a URL."""


def memory_of(tool: Tool) -> Memory:
    """Return what a Tool of type Memory keeps."""
    # The kind's own rules ask for it with this type.
    return tool.spec.memory or Memory()


def owner_of(tool: Tool, task: Task) -> str:
    """Return the uid of the run or Task whose end is the value's; empty where only time ends it."""
    return whole_of(task) if memory_of(tool).scope is MemoryScope.RUN else ""


def key_of(tool: Tool, task: Task) -> str:
    """Return the value's key in the store.

    It has the Tool's uid: neither another Tool of the same name nor another namespace of the same name ever finds it.
    """
    owner = owner_of(tool, task)
    return f"{tool.metadata.uid}/run/{owner}" if owner else f"{tool.metadata.uid}/namespace"


def system_of_memory(tool: Tool, task: Task) -> str:
    """Return what stands for the Tool's URL: two values are two systems."""
    owner = owner_of(tool, task)
    return f"{SCHEME}{tool.metadata.namespace}/{tool.metadata.name}{'/' if owner else ''}{owner}"
