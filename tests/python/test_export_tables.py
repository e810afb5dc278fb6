"""Tables that `annals export` writes, as CSV and as Parquet, read with other tools."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow.parquet
import pytest
from annals_client import TYPES
from conftest import Server
from exported import STORES, Store, article_in

MAPS = {"metrics", "annotations"}


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Store:
    return STORES[request.param](start_server())


@pytest.fixture(scope="module")
def article(start_server: Callable[..., Server]) -> Store:
    return article_in(start_server())


# ------------------------------------------------------------------------------------------------ CSV


def leaves(value: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a record. Fields of nested messages by path, lists and maps whole."""
    for name, inner in value.items():
        if isinstance(inner, dict) and name not in MAPS:
            yield from leaves(inner, f"{above}{name}.")
        else:
            yield above + name, inner


def says(cell: str, value: Any) -> bool:
    """Whether a cell is a value."""
    if isinstance(value, bool):
        return cell == str(value).lower()
    if isinstance(value, int | float):
        return float(cell) == value
    return json.loads(cell) == value if isinstance(value, list | dict) else cell == value


def test_every_field_of_every_record_is_a_cell_and_every_other_cell_is_empty(store: Store, tmp_path: Path) -> None:
    store.server.run("export", "--format", "csv", "-o", str(tmp_path))
    for collection in TYPES:
        with (tmp_path / f"{collection}.csv").open(encoding="utf-8", newline="") as file:
            rows = {row["name"]: row for row in csv.DictReader(file, strict=True)}
        records = store.of(collection)
        assert list(rows) == list(records)
        for name, row in rows.items():
            fields = dict(leaves(records[name]))
            assert all(says(row[path], value) for path, value in fields.items()), name
            assert {cell for path, cell in row.items() if path not in fields} <= {"", "[]", "{}", "false"}, name


def test_csv_is_read_by_pandas_and_duckdb(article: Store, tmp_path: Path) -> None:
    text = article.export("csv", "estimates")
    frame = pandas.read_csv(io.StringIO(text))
    assert frame["quantity.best"].sum() == sum(e["quantity"].get("best", 0) for e in article.of("estimates").values())
    path = tmp_path / "estimates.csv"
    path.write_text(text, encoding="utf-8")
    found = duckdb.sql(f"SELECT name FROM '{path}' WHERE \"quantity.status\" = 'VALUE_STATUS_WITHHELD'").fetchall()
    withheld = [name for name, e in article.of("estimates").items() if e["quantity"]["status"] == "VALUE_STATUS_WITHHELD"]
    assert found and [name for (name,) in found] == withheld


# ------------------------------------------------------------------------------------------------ Parquet


@pytest.fixture(scope="module")
def tables(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export as Parquet."""
    folder = tmp_path_factory.mktemp("tables")
    store.server.run("export", "--format", "parquet", "-o", str(folder))
    return folder


def plain(value: Any) -> Any:
    """A value of Parquet as in proto3 JSON: without unset fields, with times and long numbers as strings."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    if isinstance(value, dict):
        fields = {name: map_of(inner) if name in MAPS else plain(inner) for name, inner in value.items()}
        return {name: inner for name, inner in fields.items() if inner not in (None, [], {}) and inner is not False}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def map_of(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """A map of Parquet."""
    return dict(entries)


def like(record: Any) -> Any:
    """A record in proto3 JSON, with times and long numbers as Python types."""
    if isinstance(record, dict):
        return {name: number_or_time(name, like(inner)) for name, inner in record.items()}
    return [like(inner) for inner in record] if isinstance(record, list) else record


def number_or_time(name: str, value: Any) -> Any:
    """The value of a field."""
    if name in ("revision", "create_revision"):
        return int(value)
    if name in ("create_time", "update_time", "retrieve_time", "earliest", "latest"):
        return datetime.datetime.fromisoformat(value).replace(tzinfo=None)
    return value


def test_every_row_is_its_record(store: Store, tables: Path) -> None:
    for collection in TYPES:
        rows = pyarrow.parquet.read_table(tables / f"{collection}.parquet").to_pylist()
        records = store.of(collection)
        assert [row["name"] for row in rows] == list(records)
        for row in rows:
            # A span that begins at 0 has no start in JSON.
            citations = row.get("citations") or []
            for span in filter(None, (citation["span"] for citation in citations)):
                if span["start"] == 0:
                    del span["start"]
            assert plain(row) == like(records[row["name"]])


def test_duckdb_and_pandas_count_the_rows_that_there_are(store: Store, tables: Path) -> None:
    for collection in TYPES:
        path = tables / f"{collection}.parquet"
        wanted = len(store.of(collection))
        assert duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall() == [(wanted,)]
        assert len(pandas.read_parquet(path)) == wanted


def test_the_types_are_what_the_page_says(tables: Path) -> None:
    described = duckdb.sql(f"DESCRIBE SELECT * FROM '{tables}/estimates.parquet'").fetchall()
    types = {name: kind for name, kind, *_ in described}
    assert types["create_time"] == "TIMESTAMP WITH TIME ZONE"
    assert types["revision"] == "BIGINT"
    assert types["labels"] == "VARCHAR[]"
    assert types["metrics"] == "MAP(VARCHAR, DOUBLE)"
    assert types["quantity"].startswith("STRUCT(unit VARCHAR, best DOUBLE, ")
    frame = pandas.read_parquet(tables / "estimates.parquet")
    assert isinstance(frame["aspect"].dtype, pandas.CategoricalDtype)
    assert str(frame["create_time"].dtype) == "datetime64[us, UTC]"
    metadata = pyarrow.parquet.ParquetFile(tables / "events.parquet").metadata
    assert int(metadata.metadata[b"annals.revision"]) >= 1


def test_duckdb_and_pandas_find_the_numbers_of_the_article(article: Store, tmp_path: Path) -> None:
    article.server.run("export", "estimates", "events", "claims", "--format", "parquet", "-o", str(tmp_path))
    query = f"""
        SELECT list(quantity.best ORDER BY quantity.best), min(reference_time.latest), count(*) FILTER (quantity.best IS NULL)
        FROM '{tmp_path}/estimates.parquet' WHERE estimand.measure = 'measure:troops_deployed'"""
    ((best, latest, without),) = duckdb.sql(query).fetchall()
    ours = [e for e in article.of("estimates").values() if e["estimand"]["measure"] == "measure:troops_deployed"]
    assert [number for number in best if number is not None] == sorted(
        e["quantity"]["best"] for e in ours if "best" in e["quantity"]
    )
    assert without == sum("best" not in e["quantity"] for e in ours)
    assert latest == min(
        datetime.datetime.fromisoformat(e["reference_time"]["latest"]) for e in ours if "latest" in e.get("reference_time", {})
    )
    origins = duckdb.sql(f"SELECT DISTINCT attribution[1].role FROM '{tmp_path}/claims.parquet'").fetchall()
    assert {role for (role,) in origins} == {c["attribution"][0]["role"] for c in article.of("claims").values()}
    events = pandas.read_parquet(tmp_path / "events.parquet").set_index("name")
    event = events.loc["events/planned-deployment"]
    assert (event["actuality"], event["time"]["edtf"], event["time"]["inferred"]) == ("ACTUALITY_PLANNED", "2024-12", True)
    assert [place["country"] for place in event["places"]] == ["RUS"]
    assert event["participants"][0]["actor"] == "actors/north-korea"
