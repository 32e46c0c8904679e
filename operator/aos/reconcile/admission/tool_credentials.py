"""Which Secrets a Tool or Model may name: those that its author may read."""

from typing import Final

from aos.model.names import GROUP
from aos.reconcile.admission.shape import Check, Policy, Rule

TOOL_CREDENTIALS: Final = "aos-tool-credentials"


def tool_credentials() -> Policy:
    """The gateway sends a Tool's Secret to the Tool's URL: only who may read the Secret may say where it goes."""
    return Policy(
        name=TOOL_CREDENTIALS,
        rules=(Rule(GROUP, "*", ("CREATE", "UPDATE"), ("tools", "models")),),
        variables=(
            ("secret", "object.spec.?auth.?secretRef.?name.orValue('')"),
            ("isUnchanged", "request.operation == 'UPDATE' && object.spec == oldObject.spec"),
        ),
        checks=(
            Check(
                "variables.secret == '' || variables.isUnchanged || authorizer.group('').resource('secrets')"
                ".namespace(request.namespace).name(variables.secret).check('get').allowed()",
                "spec.auth.secretRef names a Secret that you may not read: whoever says where a credential is sent must"
                " hold `get` on it",
            ),
        ),
    )
