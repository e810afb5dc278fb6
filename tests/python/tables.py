"""Tables as they were published: read, written and compared cell by cell.

It knows CSV and tabs, but not what a column means or how Annals reads it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from annals_client import ROOT

DATA = ROOT / "tests/data"


@dataclass(frozen=True)
class Table:
    """A format, and files of it."""

    name: str
    files: tuple[Path, ...]
    # The columns that tell one row from another.
    key: tuple[int, ...]

    @property
    def is_csv(self) -> bool:
        """With commas and a header. Otherwise with tabs and without a header."""
        return self.files[0].suffix == ".csv"

    def read(self, text: str) -> list[list[str]]:
        """The rows of a file, including a header."""
        if self.is_csv:
            return list(csv.reader(io.StringIO(text, newline="")))
        return [line.split("\t") for line in text.split("\n") if line]

    def write(self, rows: Iterable[Sequence[str]]) -> str:
        """A file of rows."""
        if not self.is_csv:
            return "".join("\t".join(row) + "\n" for row in rows)
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()

    def published(self) -> list[list[str]]:
        """The rows of all files, without headers."""
        return [row for file in self.files for row in self.read(file.read_text(encoding="utf-8"))[1 if self.is_csv else 0 :]]

    def header(self) -> list[str]:
        """The header of a file that has one."""
        return self.read(self.files[0].read_text(encoding="utf-8"))[0] if self.is_csv else []


# Other files of a format than the one on its page.
MORE_FILES = {
    "gdelt-events": ("gdelt/events_translated.tsv",),
    "gdelt-mentions": ("gdelt/mentions_translated.tsv",),
}
# The columns that tell one row from another, if the first one does not.
KEYS = {"gdelt-mentions": (0, 5, 6, 7, 8, 9)}


def both_ways() -> list[str]:
    """The formats that are imported and exported, as the list in docs/formats has them; our own records are no table."""
    page = (ROOT / "docs/formats/README.md").read_text(encoding="utf-8")
    return [name for name in re.findall(r"^\| \[`([a-z-]+)`\].* \| yes \| yes \|$", page, re.MULTILINE) if name != "records"]


def table(name: str) -> Table:
    """The table of a format, with the sample that its page shows."""
    page = (ROOT / f"docs/formats/{name}.md").read_text(encoding="utf-8")
    shown = re.search(r"^Row \d+ of \[.*\]\(\.\./\.\./tests/data/(.+)\):$", page, re.MULTILINE)
    assert shown, f"the page of {name} has no example"
    return Table(name, tuple(DATA / file for file in (shown[1], *MORE_FILES.get(name, ()))), KEYS.get(name, (0,)))


ALL = [table(name) for name in both_ways()]
UCDP, EVENTS, MENTIONS, ACLED = (table(name) for name in ("ucdp-ged", "gdelt-events", "gdelt-mentions", "acled"))


def number(cell: str) -> float | None:
    """A cell as a number, if it is one. With a leading zero it is a code."""
    digits = cell.lstrip("-").split(".")[0]
    if len(digits) > 1 and digits.startswith("0"):
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def same(one: str, other: str) -> bool:
    """Whether two cells are equal: numbers as numbers, everything else as text."""
    return one == other or (number(one) is not None and number(one) == number(other))


def differences(table: Table, published: list[list[str]], exported: list[list[str]]) -> list[str]:
    """Every cell that came back changed, and every row that did not come back exactly once."""

    def keyed(rows: list[list[str]]) -> dict[tuple[str, ...], list[str]]:
        by_key: dict[tuple[str, ...], list[str]] = {}
        for row in rows:
            cells = (number(row[column]) if number(row[column]) is not None else row[column] for column in table.key)
            key = tuple(map(str, cells))
            assert key not in by_key, f"two rows {key}"
            by_key[key] = row
        return by_key

    before, after = keyed(published), keyed(exported)
    found = [f"row {key} is {'gone' if key in before else 'new'}" for key in before.keys() ^ after.keys()]
    for key in before.keys() & after.keys():
        if len(before[key]) != len(after[key]):
            found.append(f"row {key} has {len(after[key])} columns")
            continue
        cells = enumerate(zip(before[key], after[key], strict=True))
        found += [f"row {key}, column {at}: {one!r} {two!r}" for at, (one, two) in cells if not same(one, two)]
    return found
