"""Write the page that the hospital reads, from the rules themselves.

Usage: ``python -m atoll_node.deidentify.page > docs/reference/deidentification.md``.
"""

import sys
from collections.abc import Iterable

from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.rules import described
from atoll_schemas.catalog import DeidentificationEntry

_OPENING = """\
# What happens to your records before they are stored

This page is made from the rules that run (`node/atoll_node/deidentify/rules.py`); a test fails when they
differ. The rules stand in order, and the first that fits a field decides. What no rule knows is dropped.

The site's key (`secrets/pseudonym.key`, 32 random bytes, mode 0600) is made once, at `atoll-node init`.
Keep a backup apart from the data: with another key, every pseudonym and every date shift is another one.

## What you decide, per dataset

| setting | default | meaning |
|---|---|---|
| `date_shift` | `true` | move each person's dates by a keyed number of days |
| `date_shift_days` | `182` | at most this many days, either way |
| `cap_ages` | `true` | ages over 89 become 90; switch it off only for data of no living person |
| `safe_text` | none | text fields, as `table.field`, that hold no words about a person |
| `opt_out_file` | none | one source person identifier a line; these persons are left out |

The release and the catalog state what was decided.

## The rules
"""

_CLOSING = """\
## What these rules do not do

- They make pseudonymous data, not anonymous data: rows stay inside the hospital, and the disclosure gate
  decides what numbers may leave.
- A code is kept as it was written. Do not export names, record numbers or sentences in a code field.
- Without the date shift, dates stay exact. Leave it on unless the calendar itself is the question.
- A year of birth is capped by the records of the batch: with `load = "changes"`, send the persons whose
  records you send.
"""


def page(policy: Policy) -> str:
    """Return the page in Markdown, for a dataset with these choices."""
    return _OPENING + "\n" + "\n".join(_section(entry) for entry in described(policy)) + "\n" + _CLOSING


def _section(entry: DeidentificationEntry) -> str:
    fields = "".join(f"- {line}\n" for line in _by_table(entry.fields))
    return f"### {entry.rule.replace('_', ' ').capitalize()}\n\n{entry.description}\n" + (
        f"\n{fields}" if fields else ""
    )


def _by_table(fields: Iterable[str]) -> Iterable[str]:
    tables: dict[str, list[str]] = {}
    for place in fields:
        table, _, field = place.partition(".")
        tables.setdefault(table, []).append(f"`{field}`")
    return (f"**{table}**: {', '.join(names)}" for table, names in tables.items())


if __name__ == "__main__":
    sys.stdout.write(page(Policy()))
