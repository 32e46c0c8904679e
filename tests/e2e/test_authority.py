"""The gateway's certificate authority is replaced while pods wait for work: none of them is left that could not reach the gateway."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aos.controllers.authority import Kept, Pair, make_authority
from aos.model.names import ANNOTATION_GATEWAY_CA, CA_SECRET, GATEWAY_TLS_SECRET
from aos.reconcile.certificates import LONGEST_POD
from tests.e2e.deaths import kill
from tests.e2e.installation import SYSTEM, Installation, JsonObject, at, wait_for
from tests.e2e.warming import name_of, ready, scout

UNTIL_IT_SIGNS = timedelta(seconds=15)
"""Three times as long as an operator takes to be back and to renew the pod."""
DONE: JsonObject = {"output": {"done": True}}


def following(aos: Installation) -> Pair:
    """Prepare the next authority as the operator does, so long ago that it is to sign soon; return it."""
    pair = make_authority(datetime.now(UTC) - LONGEST_POD + UNTIL_IT_SIGNS)
    kept = Kept.parse(aos.get("secret", CA_SECRET, SYSTEM), aos.get("secret", GATEWAY_TLS_SECRET, SYSTEM))
    prepared = replace(kept, following=pair, trusted=(*kept.trusted, pair.certificate))
    aos.kubectl("replace", "-f", "-", stdin=json.dumps(prepared.authority_manifest(SYSTEM)))
    return pair


def signs(aos: Installation, pair: Pair) -> bool:
    """Whether this authority signed the gateway's certificate."""
    serving = Kept.parse(None, aos.get("secret", GATEWAY_TLS_SECRET, SYSTEM)).observed().serving
    authority = Kept(signing=pair).observed().signing
    assert serving is not None
    assert authority is not None
    return serving.issuer_key_id == authority.key_id


def test_a_pod_that_was_warm_before_the_authority_changed_does_its_task_after_it(aos: Installation) -> None:
    aos.apply(scout(aos.namespace, warm=1))
    old = ready(aos)
    pair = following(aos)
    pem = pair.certificate_pem().decode().strip()
    # The operator looks once a minute; one that begins looks at once.
    kill(aos, "operator")

    def knows_both() -> JsonObject | None:
        pod = ready(aos)
        return pod if pem in str(at(pod, "metadata.annotations", ANNOTATION_GATEWAY_CA)) else None

    waiting = wait_for(knows_both, "a warm pod that trusts the next authority")
    assert at(waiting, "metadata.uid") != at(old, "metadata.uid")
    assert not signs(aos, pair), "the pod was to be there before"
    wait_for(lambda: signs(aos, pair) or None, "the next authority to sign")
    aos.start("after-the-change", DONE, agent="scout")
    assert aos.ended("after-the-change")["reason"] == "Completed"
    task = aos.get("task", "after-the-change")
    assert at(task, "status.pod.name") == name_of(waiting)
