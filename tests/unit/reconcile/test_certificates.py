from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from aos.reconcile.certificates import (
    AUTHORITY_LIFE,
    CLOCK_SKEW,
    LONGEST_POD,
    SERVING_LIFE,
    CertificateFacts,
    ObservedCertificates,
    Renewal,
    next_look,
    renewal,
    serving_names,
)
from tests.unit.reconcile.make import NOW

NAMES = frozenset(serving_names("aos-system"))


def authority(key_id: str = "one", made: datetime = NOW) -> CertificateFacts:
    return CertificateFacts(key_id, key_id, made - CLOCK_SKEW, made + AUTHORITY_LIFE)


def serving(issuer: str = "one", made: datetime = NOW, names: frozenset[str] = NAMES) -> CertificateFacts:
    return CertificateFacts("leaf", issuer, made - CLOCK_SKEW, made + SERVING_LIFE, names)


SOUND = ObservedCertificates(
    signing=authority(), trusted=(authority(),), serving=serving(), serving_bundle=frozenset({"one"})
)
WITH_NEXT = replace(
    SOUND,
    following=authority("two", NOW),
    trusted=(authority(), authority("two", NOW)),
    serving_bundle=frozenset({"one", "two"}),
)
TWO_THIRDS_OF_AUTHORITY = NOW + AUTHORITY_LIFE * 2 / 3


@pytest.mark.parametrize(
    ("observed", "now", "expected"),
    [
        (ObservedCertificates(), NOW, Renewal(create_authority=True, issue_serving=True, copy_bundle=True)),
        (SOUND, NOW, Renewal()),
        (replace(SOUND, serving=None), NOW, Renewal(issue_serving=True, copy_bundle=True)),
        (SOUND, NOW + SERVING_LIFE * 2 / 3, Renewal(issue_serving=True, copy_bundle=True)),
        (replace(SOUND, serving=serving(issuer="x")), NOW, Renewal(issue_serving=True, copy_bundle=True)),
        (
            replace(SOUND, serving=serving(names=frozenset({"other"}))),
            NOW,
            Renewal(issue_serving=True, copy_bundle=True),
        ),
        (
            replace(SOUND, serving=serving(names=NAMES - {"aos-hooks.aos-system.svc"})),
            NOW,
            Renewal(issue_serving=True, copy_bundle=True),
        ),
        (replace(SOUND, serving_bundle=frozenset()), NOW, Renewal(copy_bundle=True)),
        (
            replace(SOUND, serving=serving(made=TWO_THIRDS_OF_AUTHORITY)),
            TWO_THIRDS_OF_AUTHORITY,
            Renewal(prepare_authority=True, copy_bundle=True),
        ),
        (WITH_NEXT, NOW + LONGEST_POD - timedelta(seconds=1), Renewal()),
        (
            WITH_NEXT,
            NOW + LONGEST_POD,
            Renewal(promote_authority=True, issue_serving=True, copy_bundle=True),
        ),
        (
            replace(SOUND, signing=authority(made=NOW - AUTHORITY_LIFE)),
            NOW,
            Renewal(create_authority=True, issue_serving=True, copy_bundle=True),
        ),
        (
            replace(SOUND, trusted=(authority(), authority("old", NOW - AUTHORITY_LIFE))),
            NOW,
            Renewal(drop_expired=True, copy_bundle=True),
        ),
    ],
    ids=[
        "nothing is there",
        "all is well",
        "no serving certificate",
        "two thirds of the serving certificate's life are over",
        "another authority signed it",
        "it has none of the names",
        "an earlier version made it, which knew no name for webhooks",
        "the gateway has another bundle",
        "two thirds of the authority's life are over",
        "a pod may still not know the next authority",
        "every pod knows the next authority",
        "the authority expired",
        "an authority of the bundle expired",
    ],
)
def test_what_is_due_is_renewed_and_nothing_else(
    observed: ObservedCertificates, now: datetime, expected: Renewal
) -> None:
    assert renewal(observed, "aos-system", now) == expected


def test_the_next_look_is_at_whatever_is_due_first() -> None:
    assert next_look(SOUND, NOW) == serving().renew_at()
    assert next_look(WITH_NEXT, NOW) == NOW + LONGEST_POD
    assert next_look(ObservedCertificates(), NOW) == NOW


def test_a_renewal_tells_which_secrets_it_writes() -> None:
    assert Renewal(prepare_authority=True).changes_authority
    assert not Renewal(issue_serving=True).changes_authority
    assert Renewal(issue_serving=True).changes_serving
    assert not Renewal(drop_expired=True).changes_serving
