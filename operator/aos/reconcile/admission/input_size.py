"""How much a Task or a run is given."""

from typing import Final

from aos.model.names import GROUP
from aos.model.structural import MAX_INPUT_BYTES
from aos.reconcile.admission.shape import Check, Policy, Rule

INPUT_SIZE: Final = "aos-input-size"
_MOST_WRITTEN_BYTES: Final = MAX_INPUT_BYTES * 3 // 2
"""CEL writes a space after each comma and colon, so that nothing is refused here that is small enough as JSON."""


def input_size() -> Policy:
    """What is given is kept in memory by operator and gateway for as long as the Task or run is open, so it is bounded.

    CEL has no JSON: this takes up to half as much again, and the operator, which does, ends what is above the bound itself.
    """
    return Policy(
        name=INPUT_SIZE,
        rules=(Rule(GROUP, "*", ("CREATE",), ("tasks", "workflowruns")),),
        checks=(
            Check(
                f"size(bytes('%s'.format([dyn(object).spec.?input.orValue({{}})]))) <= {_MOST_WRITTEN_BYTES}",
                f"spec.input may have {MAX_INPUT_BYTES} bytes as JSON: give less, and keep what is large where a tool reads it",
            ),
        ),
    )
