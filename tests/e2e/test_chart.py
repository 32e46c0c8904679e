"""The chart's own test, run against what it installed."""

from hack.cluster.handle import Handle
from hack.demo.access import Access
from hack.demo.installation import RELEASE, SYSTEM, paths
from tests.e2e.installation import Installation


def test_helm_test_finds_both_parts_ready_and_the_gateway_closed(
    installed: Installation, node: Handle
) -> None:
    Access(node, paths()).helm("test", RELEASE, f"--namespace={SYSTEM}", "--timeout=90s")
    said = installed.kubectl("logs", "aos-test", "-n", SYSTEM)
    assert "gateway: ready (200)" in said
    assert "operator: ready (200)" in said
    assert "gateway: refuses a caller without a token (401 NoToken)" in said
