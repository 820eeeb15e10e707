"""Hold how long a person stays in a cohort."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from atoll_schemas.circe.parts import CodesetId, CollapseType, Days, Part, SomeDays


class DateOffset(Part):
    """The cohort ends a fixed number of days after the event's start or end."""

    also: ClassVar[Mapping[str, str]] = {"OffsetUnitValue": "Offset"}
    units = frozenset({"OffsetUnit"})
    date_field: Literal["StartDate", "EndDate"] = "StartDate"
    offset: Days = 0


class CustomEra(Part):
    """The cohort ends with the continuous exposure to a drug."""

    also: ClassVar[Mapping[str, str]] = {"GapUnitValue": "GapDays", "OffsetUnitValue": "Offset"}
    units = frozenset({"GapUnit", "OffsetUnit"})
    drug_codeset_id: CodesetId
    gap_days: SomeDays = 0
    offset: Days = 0
    days_supply_override: SomeDays | None = None


class EndStrategy(Part):
    """How long a person stays in the cohort; absent, to the end of the observation period."""

    date_offset: DateOffset | None = None
    custom_era: CustomEra | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.date_offset is None) == (self.custom_era is None):
            raise ValueError("an end strategy is either DateOffset or CustomEra")
        return self


class CollapseSettings(Part):
    """Cohort periods at most ``EraPad`` days apart become one."""

    also: ClassVar[Mapping[str, str]] = {"EraPadUnitValue": "EraPad", "EraPadValue": "EraPad"}
    units = frozenset({"EraPadUnit"})
    collapse_type: CollapseType = "ERA"
    era_pad: SomeDays = 0
