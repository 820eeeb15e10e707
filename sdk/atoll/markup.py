"""Write views as HTML for notebooks. Every text is escaped: labels come from hospitals and from queries."""

from collections.abc import Iterable
from html import escape

from atoll.views import View

_STYLE = (
    "<style scoped>.atoll{font:13px system-ui,sans-serif;margin:.4em 0}"
    ".atoll caption{text-align:left;font-weight:600;padding:.3em 0}"
    ".atoll table{border-collapse:collapse;margin:.2em 0 .1em}"
    ".atoll th,.atoll td{padding:.2em .8em;text-align:right;border-bottom:1px solid #8884}"
    ".atoll th:first-child,.atoll td:first-child{text-align:left}"
    ".atoll .note{color:#777;font-size:12px}</style>"
)


def page(headline: str, found: Iterable[View]) -> str:
    """Return the fragment that a notebook shows."""
    tables = "".join(_table(view) for view in found)
    return f'{_STYLE}<div class="atoll"><div><b>{escape(headline)}</b></div>{tables}</div>'


def _table(view: View) -> str:
    header = "".join(f"<th>{escape(name)}</th>" for name in view.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in view.rows
    )
    notes = "".join(f'<div class="note">{escape(note)}</div>' for note in view.notes)
    return (
        f"<table><caption>{escape(view.title)}</caption><thead><tr>{header}</tr></thead>"
        f"<tbody>{rows}</tbody></table>{notes}"
    )
