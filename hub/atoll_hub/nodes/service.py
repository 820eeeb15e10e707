"""Invite sites, enrol and authenticate their nodes, and see who is there."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from atoll_hub.access import NodeCaller
from atoll_hub.accounts.rules import NODE_TOKEN_PREFIX, TOKEN_BYTES, token_hash, token_text
from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.service import Clock, Journal
from atoll_hub.database import Database
from atoll_hub.errors import Forbidden, HubError, Malformed, Unauthenticated, Unprocessable
from atoll_hub.keys import BadSignature, SigningKey, public_key, unverified_payload, verified
from atoll_hub.nodes import rules, store
from atoll_schemas.catalog import SiteView
from atoll_schemas.enrolment import (
    SECRET_BYTES,
    EnrolmentCode,
    NotAnEnrolmentCode,
    fingerprint,
    new_code,
    parse_code,
)
from atoll_schemas.people import Invitation, NewInvitation
from atoll_schemas.protocol import LONGEST_TOKEN_SECONDS, Enrolled, Enrolment, TokenReply

Randomness = Callable[[int], bytes]


@dataclass(frozen=True)
class HubIdentity:
    """Who the hub is to its nodes."""

    hub_id: str
    key: SigningKey
    audience: str
    """The ``aud`` that newly enrolled nodes are told."""
    offline_after: float


class Nodes:
    """The consortium's sites and their nodes."""

    def __init__(
        self, database: Database, journal: Journal, identity: HubIdentity, clock: Clock, random: Randomness
    ) -> None:
        self._database = database
        self._journal = journal
        self._identity = identity
        self._clock = clock
        self._random = random
        self._seen: dict[NodeCaller, rules.Presence] = {}

    def invite(self, site: str, new: NewInvitation, actor: str) -> Invitation:
        """Make a one-time enrolment code for a site, new or known; unused codes before it end."""
        code = new_code(self._random(SECRET_BYTES), self._identity.key.public)
        with self._journal.deciding() as act:
            until = act.now + timedelta(hours=new.valid_hours)
            store.put_site(act.connection, site, new.title, act.now)
            store.put_invitation(act.connection, code.digest(), site, until)
            act.record(Decision(actor, Action.SITE_INVITED, site, {"expires_at": until.isoformat()}))
        return Invitation(site=site, code=code.text(), expires_at=until)

    def enrol(self, enrolment: Enrolment) -> Enrolled:
        """Register a node's public key against its one-time code. Raises ``Forbidden``."""
        rules.check_protocol(enrolment.protocol)
        try:
            key = public_key(enrolment.public_key)
        except ValueError as error:
            raise Unprocessable("enrolment.key", str(error), "send the public EC P-256 JWK") from error
        try:
            return self._enrol(enrolment, key)
        except Forbidden as refusal:
            self._journal.note(
                Decision("anyone", Action.ENROLMENT_REFUSED, key["kid"], {"code": refusal.code})
            )
            raise

    def _enrol(self, enrolment: Enrolment, key: dict[str, Any]) -> Enrolled:
        code_hash = self._code(enrolment.code).digest()
        with self._journal.deciding() as act:
            kept = store.find_invitation(act.connection, code_hash)
            invitation = rules.check_invitation(kept, key["kid"], act.now)
            node = store.find_node_of(act.connection, invitation.site)
            if invitation.used_by_key is not None and (node is None or node.kid != key["kid"]):
                raise Forbidden(
                    "enrolment.used",
                    "a later enrolment has replaced this one",
                    "ask the operator for a new code",
                )
            if invitation.used_by_key is None or node is None:
                node = self._new_node(invitation.site, key)
                store.replace_node(act.connection, node, act.now)
                store.use_invitation(act.connection, code_hash, node.kid)
                seen = rules.Presence(act.now, enrolment.software[:80], enrolment.protocol)
                store.see(act.connection, node.site, seen)
                act.record(
                    Decision(f"node:{node.site}", Action.NODE_ENROLLED, node.node_id, {"kid": node.kid})
                )
        return Enrolled(
            site=node.site,
            node_id=node.node_id,
            hub_id=self._identity.hub_id,
            hub_keys=(self._identity.key.public,),
            audience=node.audience,
        )

    def grant(self, form: dict[str, str], protocol: str | None) -> TokenReply:
        """Exchange a client assertion (RFC 7523) for a short access token. Raises ``Unauthenticated``."""
        if form.get("grant_type") != rules.GRANT_TYPE or (
            form.get("client_assertion_type") != rules.ASSERTION_TYPE
        ):
            raise Malformed(
                "token.request",
                "grant_type or client_assertion_type is not the one of RFC 7523",
                f"send grant_type={rules.GRANT_TYPE} and client_assertion_type={rules.ASSERTION_TYPE}",
            )
        node, claims = self._asserted(form.get("client_assertion", ""))
        self.check_protocol(NodeCaller(node.site, node.node_id), protocol)
        try:
            return self._grant(node, claims)
        except Unauthenticated as refusal:
            self._refused(node, refusal)
            raise

    def caller(self, token: str) -> NodeCaller:
        """Return the node that shows an access token. Raises ``Unauthenticated``."""
        with self._database.read() as connection:
            found = store.find_node_token(connection, token_hash(token))
        if found is None:
            raise Unauthenticated(
                "token.invalid", "the access token is not known", "ask POST /v1/token for one"
            )
        site, node_id, expires_at = found
        if expires_at <= self._clock():
            raise Unauthenticated(
                "token.expired", "the access token has expired", "ask POST /v1/token for one"
            )
        return NodeCaller(site=site, node_id=node_id)

    def check_protocol(self, caller: NodeCaller, version: str | None) -> None:
        """Refuse a node of another protocol, and show its site as incompatible. Raises ``Malformed``."""
        try:
            rules.check_protocol(version)
        except Malformed:
            self._mark_incompatible(caller, version)
            raise

    def see(self, caller: NodeCaller, software: str, protocol: str) -> None:
        """Note that a node is there; what was noted a moment ago is not noted again."""
        now = self._clock()
        if not rules.is_news(self._seen.get(caller), software, protocol, now):
            return
        seen = rules.Presence(now, software[:80], protocol)
        self._seen[caller] = rules.Presence(now, software, protocol)
        with self._database.write(durable=False) as connection:
            store.see(connection, caller.site, seen)

    def sites(self) -> list[SiteView]:
        """Return every site and how it stands; datasets are the catalog's to add."""
        now = self._clock()
        with self._database.read() as connection:
            return [self._view(kept, now) for kept in store.all_sites(connection)]

    def key_of(self, caller: NodeCaller) -> dict[str, Any]:
        """Return the public key of a node. Raises ``Unauthenticated`` when it was replaced meanwhile."""
        with self._database.read() as connection:
            node = store.find_node(connection, caller.node_id)
        if node is None:
            raise Unauthenticated("token.invalid", "the node was replaced", "enrol again")
        return node.public_key

    def forget_expired(self) -> None:
        """Drop what can no longer be used."""
        with self._database.write() as connection:
            store.forget_expired(connection, self._clock())

    def _code(self, text: str) -> EnrolmentCode:
        try:
            return parse_code(text)
        except NotAnEnrolmentCode:
            return EnrolmentCode(secret=_ascii(text), fingerprint=fingerprint(self._identity.key.public))

    def _new_node(self, site: str, key: dict[str, Any]) -> rules.KeptNode:
        return rules.KeptNode(
            node_id="node-" + self._random(8).hex(),
            site=site,
            kid=key["kid"],
            public_key=key,
            audience=self._identity.audience,
        )

    def _asserted(self, token: str) -> tuple[rules.KeptNode, dict[str, Any]]:
        refusal = Unauthenticated(
            "assertion.invalid", "the assertion is not signed by an enrolled node", "enrol the node again"
        )
        try:
            named = _claims(unverified_payload(token)).get("iss")
            with self._database.read() as connection:
                node = store.find_node(connection, named) if isinstance(named, str) else None
            if node is None:
                raise refusal
            return node, _claims(verified(token, node.public_key))
        except BadSignature as error:
            raise refusal from error

    def _grant(self, node: rules.KeptNode, claims: dict[str, Any]) -> TokenReply:
        token = token_text(NODE_TOKEN_PREFIX, self._random(TOKEN_BYTES))
        with self._journal.deciding() as act:
            assertion = rules.check_assertion(claims, node, act.now)
            kept_until = assertion.expires_at + timedelta(seconds=2 * rules.SKEW_SECONDS)
            if not store.take_assertion(act.connection, node.node_id, assertion.jti, kept_until):
                raise Unauthenticated(
                    "assertion.replayed", "the assertion was used before", "make a fresh assertion"
                )
            until = act.now + timedelta(seconds=LONGEST_TOKEN_SECONDS)
            store.put_node_token(act.connection, token_hash(token), node.node_id, until)
            act.record(Decision(f"node:{node.site}", Action.TOKEN_ISSUED, node.node_id))
        return TokenReply(access_token=token, expires_in=LONGEST_TOKEN_SECONDS)

    def _refused(self, node: rules.KeptNode, refusal: HubError) -> None:
        self._journal.note(
            Decision(f"node:{node.site}", Action.TOKEN_REFUSED, node.node_id, {"code": refusal.code})
        )

    def _mark_incompatible(self, caller: NodeCaller, version: str | None) -> None:
        spoken = (version or "none")[:16]
        self._seen.pop(caller, None)
        with self._journal.deciding() as act:
            known = store.find_site(act.connection, caller.site)
            before = known.presence if known is not None else None
            store.see(act.connection, caller.site, rules.Presence(act.now, None, spoken))
            if before is None or before.protocol != spoken:
                act.record(Decision(caller.actor, Action.NODE_INCOMPATIBLE, caller.node_id))

    def _view(self, kept: store.KeptSite, now: Any) -> SiteView:
        seen = kept.presence
        return SiteView(
            site=kept.site,
            title=kept.title,
            state=rules.site_state(seen, now, self._identity.offline_after),
            last_seen=seen.last_seen if seen else None,
            software=seen.software if seen else None,
            protocol=seen.protocol if seen else None,
        )


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadSignature from error
    if not isinstance(claims, dict):
        raise BadSignature
    return claims


def _ascii(text: str) -> str:
    return text.strip().lower().encode("ascii", "replace").decode("ascii")
