"""State what happens to every field on its way in: a visible tuple of rules, the first that fits decides.

Each rule says which fields it takes, what it makes of a value (a pure function, the reference that judges
the SQL), and how it reads on the page for the hospital. A field that no rule knows is emptied.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms, kind_of
from atoll_schemas.catalog import DeidentificationEntry
from atoll_schemas.tables import Content, Field, Table, core_1

Value = int | float | str | date | datetime | None
Row = Mapping[str, Value]

OLDEST_AGE = 89
"""45 CFR 164.514(b)(2)(i)(C): ages over 89, and years that tell such an age, become one class."""
CAPPED_AGE = OLDEST_AGE + 1
EARLIEST_YEAR, LATEST_YEAR = 1800, 2200
"""A birth year outside is a fault of the source and is dropped."""
PERSON_DOMAIN, CARE_SITE_DOMAIN = 56, 57
"""OMOP's concepts for the domains that a ``fact_relationship`` can name beside events."""


@dataclass(frozen=True)
class Person:
    """What the rules must know of the person of a row: the shift, and the last day of their records."""

    shift: int
    last_date: date | None = None
    """Before the shift, and not later than the day of the ingest."""


@dataclass(frozen=True)
class Case:
    """One field of one row, with all that decides what becomes of it."""

    table: Table
    field: Field
    row: Row
    person: Person | None
    pseudonyms: Pseudonyms
    policy: Policy

    @property
    def value(self) -> Value:
        """Return the source's value."""
        return self.row.get(self.field.name)


Fits = Callable[[Table, Field, Policy], bool]
Treat = Callable[[Case], Value]


@dataclass(frozen=True)
class Rule:
    """One treatment of fields."""

    name: str
    says: Callable[[Policy], str]
    """The sentences for the hospital and the catalog."""
    fits: Fits
    treat: Treat

    def describe(self, policy: Policy) -> DeidentificationEntry:
        """Describe the rule as it is applied under ``policy``, with the fields that it takes."""
        fields = tuple(
            f"{table.name}.{field.name}"
            for table in core_1().tables
            for field in table.fields
            if rule_for(table, field, policy) is self
        )
        return DeidentificationEntry(rule=self.name, description=self.says(policy), fields=fields)


def always(text: str) -> Callable[[Policy], str]:
    """Return a description that no choice changes."""
    return lambda _: text


def _content(*contents: Content) -> Fits:
    return lambda _table, field, _policy: field.content in contents


def emptied(_: Case) -> Value:
    """Return nothing: the field is dropped."""
    return None


def kept(case: Case) -> Value:
    """Return the value as it is."""
    return case.value


def pseudonym(case: Case) -> Value:
    """Return the keyed stand-in of an identifier."""
    number = case.value
    return case.pseudonyms.of(_kind(case), number) if isinstance(number, int) else None


def _kind(case: Case) -> Kind:
    if not is_fact(case.table, case.field):
        return kind_of(case.table, case.field)
    domain = case.row.get(domain_field(case.field))
    return {PERSON_DOMAIN: Kind.PERSON, CARE_SITE_DOMAIN: Kind.CARE_SITE}.get(
        domain if isinstance(domain, int) else 0, Kind.RECORD
    )


def is_fact(table: Table, field: Field) -> bool:
    """Whether the field names a row whose table another field of the row tells."""
    return table.name == "fact_relationship" and field.name.startswith("fact_id_")


def domain_field(field: Field) -> str:
    """Return the field that tells what a fact's id names."""
    return "domain_concept_id_" + field.name[-1]


def code(case: Case) -> Value:
    """Return the code when it has the shape of one."""
    value = case.value
    if not isinstance(value, str):
        return value
    too_long = case.field.length is not None and len(value) > case.field.length
    return None if too_long or "\n" in value or "\r" in value else value


def year_of_birth(case: Case) -> Value:
    """Return the year of the shifted birth day, moved so that no age passes 90."""
    born = _birth_day(case.row)
    if born is None or case.person is None:
        return None
    shift = timedelta(days=case.person.shift)
    year = (born + shift).year
    last = case.person.last_date
    if not case.policy.cap_ages or last is None or (last + shift).year - year <= OLDEST_AGE:
        return year
    return (last + shift).year - CAPPED_AGE


def _birth_day(row: Row) -> date | None:
    year, moment = row.get("year_of_birth"), row.get("birth_datetime")
    if not isinstance(year, int):
        return date(moment.year, moment.month, moment.day) if isinstance(moment, datetime) else None
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        return None
    month, day = row.get("month_of_birth"), row.get("day_of_birth")
    try:
        return date(year, month if isinstance(month, int) else 7, day if isinstance(day, int) else 1)
    except ValueError:
        return date(year, 7, 1)


def shifted(case: Case) -> Value:
    """Return the date moved by the person's days; without a known person, nothing."""
    value = case.value
    if not isinstance(value, date) or case.person is None:
        return None
    return value + timedelta(days=case.person.shift)


def _dates_said(policy: Policy) -> str:
    if not policy.date_shift:
        return "The dates of a person stay as they are: this dataset's date shift is off."
    return (
        f"All dates and times of a person move by one keyed number of days, at least 1 and at most "
        f"{policy.date_shift_days} either way. Intervals within a person stay exact; the season does not."
    )


def _age_said(policy: Policy) -> str:
    text = (
        "Of the birth date only the year stays, taken after the person's date shift (a missing month counts "
        "as July, a missing day as the first)."
    )
    if not policy.cap_ages:
        return text + " Ages are not capped: the hospital switched the cap off for this dataset."
    return text + (
        f" Who would be older than {OLDEST_AGE} in the year of their last record gets the birth year that "
        f"makes them {CAPPED_AGE} in that year; their earlier ages fall by as much."
    )


def _free_text_said(policy: Policy) -> str:
    return "Text that somebody typed is dropped" + (
        ", except in fields that the hospital declared safe." if policy.safe_text else "."
    )


def _is_safe_text(table: Table, field: Field, policy: Policy) -> bool:
    return field.free_text and policy.is_safe(table, field.name)


def _is_year(_table: Table, field: Field, _policy: Policy) -> bool:
    return field.content is Content.BIRTH and field.name == "year_of_birth"


def _is_own_date(table: Table, field: Field, _policy: Policy) -> bool:
    return field.content is Content.DATE and table.person_scoped


def _is_unshifted_date(_table: Table, field: Field, policy: Policy) -> bool:
    return field.content is Content.DATE and not policy.date_shift


RULES: tuple[Rule, ...] = (
    Rule(
        "direct_identifiers",
        always(
            "Names, addresses, places finer than a state, record and serial numbers, UIDs and paths are "
            "dropped."
        ),
        _content(Content.DIRECT_IDENTIFIER),
        emptied,
    ),
    Rule(
        "person_pseudonyms",
        always(
            "The number of a person becomes a keyed pseudonym (AES-256, 63 bits) that is the same in "
            "every table of this hospital and means nothing outside it."
        ),
        _content(Content.PERSON_KEY),
        pseudonym,
    ),
    Rule(
        "row_pseudonyms",
        always(
            "Numbers of rows, visits, providers, care sites and places become keyed pseudonyms, apart by "
            "kind; references still join."
        ),
        _content(Content.KEY),
        pseudonym,
    ),
    Rule(
        "safe_text",
        always("These text fields were declared safe by the hospital and stay."),
        _is_safe_text,
        kept,
    ),
    Rule("free_text", _free_text_said, _content(Content.FREE_TEXT), emptied),
    Rule("birth_year", _age_said, _is_year, year_of_birth),
    Rule("birth_day", always("Month, day and time of birth are dropped."), _content(Content.BIRTH), emptied),
    Rule("date_shift", _dates_said, _is_own_date, shifted),
    Rule(
        "lone_dates_kept",
        always("Dates in rows that name no person stay as they are: this dataset's date shift is off."),
        _is_unshifted_date,
        kept,
    ),
    Rule(
        "lone_dates",
        always("Dates in rows that name no person are dropped, since the person's shift cannot be applied."),
        _content(Content.DATE),
        emptied,
    ),
    Rule(
        "codes",
        always(
            "Codes stay as the source wrote them, so that code-based questions can be asked. A code longer "
            "than its field in the standard, or with a line break, is text in disguise and is dropped."
        ),
        _content(Content.CODE),
        code,
    ),
    Rule(
        "facts",
        always("Concepts, quantities and the content of vocabularies stay."),
        _content(Content.CONCEPT, Content.NUMBER, Content.STRUCTURAL),
        kept,
    ),
    Rule(
        "unknown",
        always("A field that no rule above knows is dropped."),
        lambda _table, _field, _policy: True,
        emptied,
    ),
)
"""The first rule that fits a field decides; the last one fits every field."""

OPT_OUT = DeidentificationEntry(
    rule="opt_out",
    description=(
        "Persons on the hospital's opt-out list are left out of every table before anything is written, with "
        "all rows that refer to theirs. Where a row cannot tell whose it is, it is left out when it might be "
        "of such a person."
    ),
)


def rule_for(table: Table, field: Field, policy: Policy) -> Rule:
    """Return the rule that decides over a field."""
    return next(rule for rule in RULES if rule.fits(table, field, policy))


def described(policy: Policy) -> tuple[DeidentificationEntry, ...]:
    """Describe every rule that takes a field under ``policy``, the opt-out first."""
    entries = (rule.describe(policy) for rule in RULES)
    return (OPT_OUT, *(entry for entry in entries if entry.fields))


def deidentified(
    table: Table, row: Row, *, person: Person | None, pseudonyms: Pseudonyms, policy: Policy
) -> dict[str, Value]:
    """Return the row as it may be stored: the slow, obvious reference for the SQL."""
    return {
        field.name: rule_for(table, field, policy).treat(Case(table, field, row, person, pseudonyms, policy))
        for field in table.fields
    }
