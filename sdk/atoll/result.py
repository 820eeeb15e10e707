"""Read an answer: as a table, a data frame, a chart, a file; always with how many sites stand behind it."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from atoll import extras
from atoll.charts import Spec, spec_of
from atoll.errors import NoAnswer
from atoll.markup import page
from atoll.sheets import Sheet, sheet_of
from atoll.views import View, views
from atoll_schemas.cells import Withheld
from atoll_schemas.results import MergedKaplanMeier, MergedPayload, SiteOutcome, StratifiedLogRank
from atoll_schemas.results import Result as Answer

if TYPE_CHECKING:
    import altair
    import pandas

_DTYPES = {"text": extras.TEXTS, "integer": extras.INTEGERS, "number": extras.NUMBERS}


class Result:
    """What the hospitals answered. ``contract`` holds it whole, as the hub sent it."""

    def __init__(self, contract: Answer) -> None:
        self.contract = contract

    @property
    def id(self) -> str:
        """The query's id."""
        return self.contract.query_id

    @property
    def headline(self) -> str:
        """Such as ``2 of 3 sites``."""
        return self.contract.headline

    @property
    def state(self) -> str:
        """``running``, ``complete``, ``partial``, ``failed`` or ``cancelled``."""
        return self.contract.state

    @property
    def complete(self) -> bool:
        """Whether every asked site answered."""
        return self.contract.state == "complete"

    @property
    def sites(self) -> tuple[SiteOutcome, ...]:
        """How each site fared, and why one did not answer."""
        return self.contract.sites

    @property
    def merged(self) -> MergedPayload:
        """The merged figures, typed. Raises ``NoAnswer`` when no site answered."""
        if self.contract.merged is None:
            problem = self.contract.problem
            if problem is not None:
                raise NoAnswer(problem.code, problem.detail or problem.title, problem.next_step)
            raise NoAnswer(
                "result.empty",
                f"query {self.id} is {self.state} with {self.headline}",
                "See .sites for each site's cause.",
            )
        return self.contract.merged

    @property
    def log_rank(self) -> StratifiedLogRank | Withheld | None:
        """The log-rank test stratified by site, when the question asked for one."""
        merged = self.merged
        return merged.log_rank if isinstance(merged, MergedKaplanMeier) else None

    def views(self) -> tuple[View, ...]:
        """Return the result as small tables of text."""
        return views(self.contract)

    def rows(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Return the header and the rows of the main table, as text. Raises ``NoAnswer``."""
        _ = self.merged
        main = self.views()[0]
        return main.header, main.rows

    def sheet(self) -> Sheet:
        """Return the result as one tidy sheet of plain values."""
        return sheet_of(self.merged)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a tidy data frame of nullable columns; withheld numbers are ``pandas.NA`` with a status."""
        sheet = self.sheet()
        frame = extras.data_frame(
            {name: (_DTYPES[sheet.kind(name)], sheet.values(name)) for name in sheet.columns}
        )
        frame.attrs.update(query_id=self.id, sites=self.headline, query_digest=self.contract.query_digest)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Return the whole answer as JSON-ready values."""
        return self.contract.wire()

    @overload
    def to_json(self, path: None = None) -> str: ...
    @overload
    def to_json(self, path: str | Path) -> Path: ...
    def to_json(self, path: str | Path | None = None) -> str | Path:
        """Return the whole answer as JSON, or write it to ``path``."""
        return _kept(json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n", path)

    @overload
    def to_csv(self, path: None = None) -> str: ...
    @overload
    def to_csv(self, path: str | Path) -> Path: ...
    def to_csv(self, path: str | Path | None = None) -> str | Path:
        """Return the sheet as CSV, or write it to ``path``. A withheld number is empty."""
        sheet = self.sheet()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(sheet.columns)
        writer.writerows([_cell(row.get(name)) for name in sheet.columns] for row in sheet.rows)
        return _kept(text.getvalue(), path)

    def spec(self) -> Spec:
        """Return the chart as a Vega-Lite specification."""
        merged = self.merged
        found = spec_of(self.contract)
        if found is None:
            raise NoAnswer("result.nothing_to_draw", f"the {merged.method} has nothing that may be drawn")
        return found

    def plot(self) -> "altair.Chart":
        """Return an Altair chart: curves per site in steps, or bars."""
        return extras.chart(self.spec())

    def save_svg(self, path: str | Path) -> Path:
        """Draw the chart into an SVG file."""
        target = Path(path)
        target.write_text(extras.svg(self.spec()), "utf-8")
        return target

    def _repr_html_(self) -> str:
        return page(f"{self.headline} · {self.state} · {self.id}", self.views())

    def _repr_svg_(self) -> str | None:
        spec = spec_of(self.contract)
        return extras.svg(spec) if spec is not None and extras.has("vl_convert") else None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return table, chart and text; notebooks show the richest that they know."""
        drawn = self._repr_svg_()
        html = self._repr_html_()
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": html}
        if drawn is not None:
            bundle["text/html"] = f"{html}<div>{drawn}</div>"
            bundle["image/svg+xml"] = drawn
        wanted = set(include or bundle) - set(exclude or ())
        return {kind: value for kind, value in bundle.items() if kind in wanted}

    def __repr__(self) -> str:
        return f"<atoll.Result {self.contract.method} {self.id}: {self.headline}, {self.state}>"


def _cell(value: object) -> object:
    """Return a CSV field. A text that a spreadsheet would run as a formula is quoted by an apostrophe."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return f"'{value}"
    return value


def _kept(text: str, path: str | Path | None) -> str | Path:
    if path is None:
        return text
    target = Path(path)
    target.write_text(text, "utf-8")
    return target
