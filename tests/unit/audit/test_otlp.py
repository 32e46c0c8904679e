import json

import aos
from aos.audit.head import ChainHead
from aos.audit.otlp import anchor_records
from aos.audit.signing import HeadSigner, SignedHead

SIGNER = HeadSigner()


def head(time: str = "2026-01-02T03:04:05.000006Z") -> SignedHead:
    return SIGNER.sign(ChainHead("gateway-1", 7, "a" * 64, time))


def test_a_head_is_a_log_record_as_the_protocol_says() -> None:
    signed = head()
    assert anchor_records([signed], "aos-system", 5_000)["resourceLogs"] == [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "aos-operator"}},
                    {"key": "service.version", "value": {"stringValue": aos.__version__}},
                    {"key": "k8s.namespace.name", "value": {"stringValue": "aos-system"}},
                ]
            },
            "scopeLogs": [
                {
                    "scope": {"name": "aos.audit"},
                    "logRecords": [
                        {
                            "timeUnixNano": "1767323045000006000",
                            "observedTimeUnixNano": "5000",
                            "severityNumber": 9,
                            "severityText": "INFO",
                            "eventName": "aos.audit.anchor",
                            "body": {"stringValue": signed.encode().decode()},
                            "attributes": [
                                {"key": "event.name", "value": {"stringValue": "aos.audit.anchor"}},
                                {"key": "aos.audit.chain", "value": {"stringValue": "gateway-1"}},
                                {"key": "aos.audit.sequence", "value": {"intValue": "7"}},
                                {"key": "aos.audit.hash", "value": {"stringValue": "a" * 64}},
                            ],
                        }
                    ],
                }
            ],
        }
    ]


def test_a_head_without_a_time_has_that_at_which_it_was_seen() -> None:
    records = anchor_records([head("never")], "aos-system", 5_000)
    assert '"timeUnixNano": "5000"' in json.dumps(records)
