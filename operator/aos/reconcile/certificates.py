"""Which certificates to make anew and when to change over to them: decisions alone, keys are made at the edge.

The authority changes over in three steps, so that no running pod ever meets a certificate that it does not trust: the next authority
is made and trusted; once every pod that was started before has ended, it signs; the last one stays trusted until it expires.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aos.model.names import GATEWAY_SERVICE, HOOK_SERVICE, gateway_host
from aos.reconcile.waiting import MAX_WAIT_SECONDS

AUTHORITY_LIFE: Final = timedelta(days=5 * 365)
SERVING_LIFE: Final = timedelta(days=90)
LONGEST_POD: Final = timedelta(hours=25, seconds=MAX_WAIT_SECONDS)
"""A Task's deadline is at most 24 h, and moves while people decide: after this time no pod is left that does not know the next authority."""
CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates are valid from so long before they were made."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What counts of a certificate.

    Attributes:
        key_id: of its own key.
        issuer_key_id: of the key that signed it.
        not_before: when it begins to be valid.
        not_after: when it ends to be valid.
        names: DNS names that it is valid for.
    """

    key_id: str
    issuer_key_id: str
    not_before: datetime
    not_after: datetime
    names: frozenset[str] = frozenset()

    def is_due(self, now: datetime) -> bool:
        """Whether two thirds of its life are over."""
        return now >= self.not_before + (self.not_after - self.not_before) * 2 / 3

    def renew_at(self) -> datetime:
        """Return when it is due."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3


@dataclass(frozen=True, slots=True)
class ObservedCertificates:
    """What is kept in the two Secrets; None or nothing for what is missing or can't be used.

    Attributes:
        signing: the authority that signs.
        following: the authority that is trusted and will sign next.
        trusted: every authority in the bundle.
        serving: the gateway's certificate.
        serving_bundle: key ids of the authorities in the gateway's own copy of the bundle.
    """

    signing: CertificateFacts | None = None
    following: CertificateFacts | None = None
    trusted: Sequence[CertificateFacts] = ()
    serving: CertificateFacts | None = None
    serving_bundle: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Renewal:
    """What to do, in this order.

    Attributes:
        create_authority: start anew with an authority that signs at once.
        prepare_authority: make the next authority and trust it.
        promote_authority: let the next authority sign.
        drop_expired: take expired authorities out of the bundle.
        issue_serving: make a certificate for the gateway.
        copy_bundle: give the gateway's Secret the bundle as it is now.
    """

    create_authority: bool = False
    prepare_authority: bool = False
    promote_authority: bool = False
    drop_expired: bool = False
    issue_serving: bool = False
    copy_bundle: bool = False

    @property
    def changes_authority(self) -> bool:
        """Whether the authority's Secret is written."""
        return self.create_authority or self.prepare_authority or self.promote_authority or self.drop_expired

    @property
    def changes_serving(self) -> bool:
        """Whether the gateway's Secret is written."""
        return self.issue_serving or self.copy_bundle


def serving_names(namespace: str) -> tuple[str, ...]:
    """Return the names that the gateway is called by; the first is the one that clients verify."""
    host = gateway_host(namespace)
    hooks = f"{HOOK_SERVICE}.{namespace}.svc"
    return (
        host,
        GATEWAY_SERVICE,
        f"{GATEWAY_SERVICE}.{namespace}",
        f"{host}.cluster.local",
        hooks,
        f"{hooks}.cluster.local",
    )


def renewal(observed: ObservedCertificates, namespace: str, now: datetime) -> Renewal:
    """Return what has to be made anew."""
    signing, following = observed.signing, observed.following
    if signing is None or now >= signing.not_after:
        return Renewal(create_authority=True, issue_serving=True, copy_bundle=True)
    promote = following is not None and _is_known_to_all(following, now)
    prepare = following is None and signing.is_due(now)
    drop = any(now >= item.not_after for item in observed.trusted)
    issuer = following if promote and following is not None else signing
    issue = _must_issue(observed.serving, issuer, namespace, now)
    differs = frozenset(item.key_id for item in observed.trusted) != observed.serving_bundle
    return Renewal(
        prepare_authority=prepare,
        promote_authority=promote,
        drop_expired=drop,
        issue_serving=issue,
        copy_bundle=issue or prepare or drop or differs,
    )


def next_look(observed: ObservedCertificates, now: datetime) -> datetime:
    """Return when something will be due, if nobody touches the Secrets."""
    moments = [item.renew_at() for item in (observed.signing, observed.serving) if item is not None]
    if observed.following is not None:
        moments.append(_known_at(observed.following))
    moments += [item.not_after for item in observed.trusted]
    return min((moment for moment in moments if moment > now), default=now)


def _is_known_to_all(following: CertificateFacts, now: datetime) -> bool:
    return now >= _known_at(following)


def _known_at(following: CertificateFacts) -> datetime:
    return following.not_before + CLOCK_SKEW + LONGEST_POD


def _must_issue(
    serving: CertificateFacts | None, issuer: CertificateFacts, namespace: str, now: datetime
) -> bool:
    return (
        serving is None
        or serving.is_due(now)
        or serving.issuer_key_id != issuer.key_id
        or not serving.names.issuperset(serving_names(namespace))
    )
