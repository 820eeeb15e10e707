"""Hold criteria: which records of one domain are events."""

from typing import Any, Self

from pydantic import model_validator

from atoll_schemas.circe.parts import Concepts, DateRange, NumericRange, Part


class Record(Part):
    """What the criteria of every domain share. An absent ``CodesetId`` takes every record.

    ``First`` keeps a person's first record of the concept set, before the other attributes are looked at.
    """

    codeset_id: int | None = None
    first: bool = False
    occurrence_start_date: DateRange | None = None
    occurrence_end_date: DateRange | None = None
    age: NumericRange | None = None
    gender: Concepts = ()


class ConditionOccurrence(Record):
    """Diagnoses."""


class DrugExposure(Record):
    """Drugs given or prescribed."""


class ProcedureOccurrence(Record):
    """Procedures."""


class DeviceExposure(Record):
    """Devices."""


class Valued(Record):
    """A record with a value."""

    value_as_number: NumericRange | None = None
    value_as_concept: Concepts = ()


class Measurement(Valued):
    """Laboratory values and other measurements."""


class Observation(Valued):
    """Observations."""


class VisitOccurrence(Record):
    """Visits."""


class Specimen(Record):
    """Specimens."""


class Death(Part):
    """Death; ``CodesetId`` is looked for in its cause."""

    codeset_id: int | None = None
    occurrence_start_date: DateRange | None = None
    age: NumericRange | None = None
    gender: Concepts = ()


class Era(Part):
    """Records of one concept joined over short gaps."""

    codeset_id: int | None = None
    first: bool = False
    era_start_date: DateRange | None = None
    era_end_date: DateRange | None = None
    gender: Concepts = ()


class ConditionEra(Era):
    """Condition eras."""


class DrugEra(Era):
    """Drug eras (ingredients)."""


class ObservationPeriod(Part):
    """Observation periods."""

    first: bool = False
    period_start_date: DateRange | None = None
    period_end_date: DateRange | None = None


CriteriaBody = Record | Death | Era | ObservationPeriod


class Criteria(Part):
    """The criteria of exactly one domain, under the domain's name."""

    condition_occurrence: ConditionOccurrence | None = None
    drug_exposure: DrugExposure | None = None
    procedure_occurrence: ProcedureOccurrence | None = None
    device_exposure: DeviceExposure | None = None
    measurement: Measurement | None = None
    observation: Observation | None = None
    visit_occurrence: VisitOccurrence | None = None
    specimen: Specimen | None = None
    death: Death | None = None
    condition_era: ConditionEra | None = None
    drug_era: DrugEra | None = None
    observation_period: ObservationPeriod | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._present()) != 1:
            raise ValueError("criteria name exactly one domain")
        return self

    def _present(self) -> list[tuple[str, Any]]:
        return [(name, body) for name, body in self if body is not None]

    @property
    def domain(self) -> str:
        """The CDM table, such as ``condition_occurrence``."""
        return self._present()[0][0]

    @property
    def body(self) -> CriteriaBody:
        """The attributes."""
        body: CriteriaBody = self._present()[0][1]
        return body
