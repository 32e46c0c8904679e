"""Which Secrets a Tool, a Model or a Workflow's webhook may name: those that its author may read."""

from typing import Final

from aos.model.names import GROUP
from aos.model.workflow import MAX_TRIGGERS
from aos.reconcile.admission.shape import Check, Policy, Rule

TOOL_CREDENTIALS: Final = "aos-tool-credentials"
WEBHOOK_CREDENTIALS: Final = "aos-webhook-credentials"


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


def webhook_credentials() -> Policy:
    """The gateway takes what is signed with a Secret for a webhook's sender: only who may read the Secret may name it."""
    secrets = (
        "object.spec.?triggers.orValue([]).map(t, t.?webhook.?secretRef.?name.orValue('')).filter(n, n != '')"
    )
    return Policy(
        name=WEBHOOK_CREDENTIALS,
        rules=(Rule(GROUP, "*", ("CREATE", "UPDATE"), ("workflows",)),),
        variables=(
            ("secrets", secrets),
            ("isUnchanged", "request.operation == 'UPDATE' && object.spec == oldObject.spec"),
        ),
        # One check each: what a single expression may cost allows for two questions to the authorizer.
        checks=tuple(
            Check(
                f"variables.isUnchanged || size(variables.secrets) <= {place} || authorizer.group('').resource('secrets')"
                f".namespace(request.namespace).name(variables.secrets[{place}]).check('get').allowed()",
                "a trigger's webhook.secretRef names a Secret that you may not read: whoever says which key webhooks are"
                " signed with must hold `get` on it",
            )
            for place in range(MAX_TRIGGERS)
        ),
    )
