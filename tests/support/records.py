"""Write small tables of records for chapters: one person a value, everything else the same."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from atoll_schemas.tables import Datatype, core_1
from tests.support.text_tables import Rows

DAY = date(2020, 3, 1)
TABLES: Mapping[str, str] = {
    "ConditionOccurrence": "condition_occurrence",
    "DrugExposure": "drug_exposure",
    "ProcedureOccurrence": "procedure_occurrence",
    "DeviceExposure": "device_exposure",
    "Measurement": "measurement",
    "Observation": "observation",
    "Specimen": "specimen",
    "VisitOccurrence": "visit_occurrence",
    "VisitDetail": "visit_detail",
    "Death": "death",
    "ConditionEra": "condition_era",
    "DrugEra": "drug_era",
    "DoseEra": "dose_era",
    "ObservationPeriod": "observation_period",
    "PayerPlanPeriod": "payer_plan_period",
    "ImageOccurrence": "image_occurrence",
    "ImageFeature": "image_feature",
    "VariantOccurrence": "variant_occurrence",
    "TrialParticipation": "trial_subject",
    "TrialEpoch": "trial_epoch",
    "TrialExposure": "trial_exposure",
    "TrialEndpoint": "trial_endpoint",
}
"""The table of each kind of criteria."""


def persons(count: int, **fields: Sequence[Any]) -> dict[str, Rows]:
    """Return so many persons, each observed for the whole of 2020; ``fields`` are theirs in order."""
    numbers = range(1, count + 1)
    people: Rows = [
        {"person_id": n, "year_of_birth": 1960, **{name: values[n - 1] for name, values in fields.items()}}
        for n in numbers
    ]
    observed: Rows = [
        {
            "observation_period_id": n,
            "person_id": n,
            "observation_period_start_date": date(2020, 1, 1),
            "observation_period_end_date": date(2020, 12, 31),
        }
        for n in numbers
    ]
    return {"person": people, "observation_period": observed}


def record(table: str, key: int, **fields: Any) -> dict[str, Any]:
    """Return a record on 1 March 2020 of the person with the same number, unless the fields say otherwise."""
    spec = core_1().table(table)
    row: dict[str, Any] = {field.name: key for field in spec.fields if field.primary_key}
    dates = [field.name for field in spec.fields if field.datatype is Datatype.DATE and field.required]
    return {"person_id": key, **dict.fromkeys(dates, DAY), **row, **fields}
