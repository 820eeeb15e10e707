"""Say what a dataset's owner may choose about de-identification; everything else is fixed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from atoll_node.errors import SettingsError
from atoll_node.settings import DatasetSettings
from atoll_schemas.canonical import canonical_json
from atoll_schemas.tables import Table, UnknownField, UnknownTable, core_1


@dataclass(frozen=True)
class Policy:
    """The choices of one dataset, checked against the data model."""

    date_shift: bool = True
    date_shift_days: int = 182
    cap_ages: bool = True
    safe_text: frozenset[str] = frozenset()
    """Free-text fields declared safe, as ``table.field``."""

    @classmethod
    def of(cls, dataset: DatasetSettings) -> Self:
        """Read the dataset's settings. Raises ``SettingsError`` for a field that cannot be declared safe."""
        if dataset.load != "full" and dataset.opt_out_file is not None:
            raise SettingsError(
                "settings.load",
                "a dataset with an opt-out list is loaded in full, so that earlier rows are left out too",
                'set load = "full"',
            )
        return cls(
            date_shift=dataset.date_shift,
            date_shift_days=dataset.date_shift_days,
            cap_ages=dataset.cap_ages,
            safe_text=frozenset(_checked(dataset.safe_text)),
        )

    def is_safe(self, table: Table, field: str) -> bool:
        """Whether the hospital declared this free-text field safe."""
        return f"{table.name}.{field}" in self.safe_text

    def canonical(self) -> str:
        """Return one text for equal choices, so that a changed choice is a changed batch."""
        return canonical_json(
            {
                "date_shift_days": self.date_shift_days if self.date_shift else 0,
                "cap_ages": self.cap_ages,
                "safe_text": sorted(self.safe_text),
            }
        ).decode()


def _checked(places: Iterable[str]) -> Iterable[str]:
    for place in places:
        table, _, name = place.partition(".")
        try:
            field = core_1().table(table).field(name)
        except (UnknownTable, UnknownField) as error:
            raise SettingsError("safe_text.unknown", f"safe_text: {error}") from error
        if not field.free_text:
            raise SettingsError(
                "safe_text.not_text", f"safe_text: {place} is not free text", "remove it from safe_text"
            )
        yield place
