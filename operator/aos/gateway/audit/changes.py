"""Audit rows of what people do to records and to the trail itself. Pure."""

import secrets

from aos.audit.event import AuditEvent, Phase
from aos.kube.reviews import UserInfo
from aos.kube.timestamps import micro_time
from aos.policy.decision import Effect

_CALL_BYTES = 16


def change(
    user: UserInfo, namespace: str, subject: str, action: str, *, name: str, record: str = "", why: str = ""
) -> AuditEvent:
    """Return the row; write it before the change is made.

    Args:
        user: who does it, as the API server knows them.
        namespace: whose records or rows it is about; empty for all.
        subject: ``record`` or ``hold``.
        action: ``free``, ``set`` or ``release``.
        name: of the hold, or of the Task that held the record.
        record: that is freed.
        why: what the person gave as a reason.
    """
    return AuditEvent(
        phase=Phase.CHANGE,
        call=secrets.token_hex(_CALL_BYTES),
        time=micro_time(),
        namespace=namespace,
        tenant="",
        agent="",
        pod="",
        pod_uid="",
        revision="",
        task="",
        task_uid="",
        lineage=(),
        requested_by=user.username,
        subject=subject,
        name=name,
        action=action,
        record=record,
        effect=Effect.ALLOW,
        rules=(why,) if why else (),
    )
