"""Makes a large UCDP GED file from the sample: rows repeated with other ids, days and numbers.

    python tests/python/many_rows.py 300000 > many.csv

It knows CSV, and which columns tell one row from another.
"""

from __future__ import annotations

import csv
import datetime
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

SAMPLE = Path(__file__).resolve().parents[1] / "data/ucdp/ged_23_1_sample.csv"


def rows(count: int) -> Iterator[dict[str, str]]:
    """This many rows, each with its own id."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        sample = list(csv.DictReader(file))
    for number in range(count):
        row = dict(sample[number % len(sample)])
        turn = number // len(sample)
        if turn:
            row["id"] = str(float(row["id"]) + turn * 1_000_000)
            row["relid"] = f"{row['relid']}-{turn}"
            for column in ("date_start", "date_end"):
                row[column] = str(datetime.date.fromisoformat(row[column]) + datetime.timedelta(days=turn))
            if row["source_headline"]:
                row["source_headline"] = ";".join(f"{part} ({turn})" for part in row["source_headline"].split(";"))
            for column in ("deaths_unknown", "best", "high", "low"):
                row[column] = str(float(row[column]) + turn)
        yield row


def write(count: int, to: TextIO) -> None:
    """A file of this many rows."""
    made = rows(count)
    first = next(made)
    writer = csv.DictWriter(to, list(first), lineterminator="\n")
    writer.writeheader()
    writer.writerow(first)
    writer.writerows(made)


if __name__ == "__main__":
    write(int(sys.argv[1]), sys.stdout)
