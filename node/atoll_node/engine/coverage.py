"""List what the engine runs of the cohort language; what is not listed is refused by its path."""

from atoll_schemas.circe import Coverage
from atoll_schemas.circe.concepts import ConceptSetItem
from atoll_schemas.circe.criteria import (
    ConditionEra,
    ConditionOccurrence,
    Criteria,
    Death,
    DeviceExposure,
    DrugEra,
    DrugExposure,
    Measurement,
    Observation,
    ObservationPeriod,
    ProcedureOccurrence,
    Specimen,
    VisitOccurrence,
)
from atoll_schemas.circe.groups import DemographicCriteria, Occurrence

_DATES = frozenset({"occurrence_start_date", "occurrence_end_date"})
_RECORD = _DATES | {"codeset_id", "first", "age", "gender"}
_VALUED = _RECORD | {"value_as_number", "value_as_concept"}
_ERA = frozenset({"codeset_id", "first", "era_start_date", "era_end_date", "gender"})
_PERIOD = frozenset({"first", "period_start_date", "period_end_date"})

RUNS: Coverage = {
    Criteria: frozenset(
        {
            "condition_occurrence",
            "drug_exposure",
            "procedure_occurrence",
            "device_exposure",
            "measurement",
            "observation",
            "visit_occurrence",
            "specimen",
            "death",
            "condition_era",
            "drug_era",
            "observation_period",
        }
    ),
    ConditionOccurrence: _RECORD,
    DrugExposure: _RECORD,
    ProcedureOccurrence: _RECORD,
    DeviceExposure: _RECORD,
    Measurement: _VALUED,
    Observation: _VALUED,
    VisitOccurrence: _RECORD,
    Specimen: _RECORD,
    Death: _RECORD - {"first", "occurrence_end_date"},
    ConditionEra: _ERA,
    DrugEra: _ERA,
    ObservationPeriod: _PERIOD,
    DemographicCriteria: _DATES | {"age", "gender", "race", "ethnicity"},
    Occurrence: frozenset({"type", "count", "is_distinct"}),
    ConceptSetItem: frozenset({"concept", "is_excluded", "include_descendants"}),
}
