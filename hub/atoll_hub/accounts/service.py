"""Add, list and shut out people, and find out who shows a token."""

from collections.abc import Callable
from datetime import timedelta

from atoll_hub.access import PersonCaller
from atoll_hub.accounts import rules, store
from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.service import Clock, Journal
from atoll_hub.database import Database
from atoll_hub.errors import Conflict, Missing
from atoll_schemas.people import NewPerson, Person, PersonToken

Randomness = Callable[[int], bytes]


class Accounts:
    """The hub's people."""

    def __init__(self, database: Database, journal: Journal, clock: Clock, random: Randomness) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._random = random

    def caller(self, token: str) -> PersonCaller:
        """Return who shows ``token``. Raises ``Unauthenticated``."""
        kept = self._token(token)
        return PersonCaller(name=kept.name, role=kept.role)

    def token_end(self, token: str) -> rules.KeptToken:
        """Return a token's facts, such as when it ends. Raises ``Unauthenticated``."""
        return self._token(token)

    def add(self, new: NewPerson, actor: str) -> PersonToken:
        """Add a person and return their token, the only time that it is seen. Raises ``Conflict``."""
        token = rules.token_text(rules.PERSON_TOKEN_PREFIX, self._random(rules.TOKEN_BYTES))
        with self._journal.deciding() as act:
            known = store.find_person(act.connection, new.name)
            if known is not None and known.revoked_at is None:
                raise Conflict("user.exists", "a person of this name is already here", "choose another name")
            until = act.now + timedelta(days=new.token_days)
            store.put_person(act.connection, new.name, new.role, act.now)
            store.put_token(act.connection, rules.token_hash(token), new.name, act.now, until)
            act.record(Decision(actor, Action.PERSON_ADDED, new.name, {"role": new.role.value}))
        return PersonToken(name=new.name, role=new.role, token=token, expires_at=until)

    def everybody(self) -> list[Person]:
        """Return everybody, also those shut out."""
        with self._database.read() as connection:
            return store.all_people(connection)

    def revoke(self, name: str, actor: str) -> None:
        """Shut a person out; doing it again changes nothing. Raises ``Missing``."""
        with self._journal.deciding() as act:
            known = store.find_person(act.connection, name)
            if known is None:
                raise Missing("user.unknown", "there is no person of this name", "list them: GET /v1/users")
            if known.revoked_at is None:
                store.revoke(act.connection, name, act.now)
                act.record(Decision(actor, Action.PERSON_REVOKED, name))

    def _token(self, token: str) -> rules.KeptToken:
        with self._database.read() as connection:
            kept = store.find_token(connection, rules.token_hash(token))
        return rules.check_token(kept, self._clock())
