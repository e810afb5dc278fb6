"""What `annals export --format` writes, read with the tools of others and held against the same records in proto3 JSON.

Two stores: the example article, and rows of UCDP, which have external ids, labels, metrics and annotations.
"""

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
import stix2
import stix2validator
import ucdp
from annals_client import ROOT, TYPES
from conftest import Server

SEED = ROOT / "tests/data/seed/commit.json"
UCDP = ROOT / "tests/data/ucdp/ged_23_1_sample.csv"
MAPS = {"metrics", "annotations"}


class Store:
    """A server, and every record of it by name."""

    def __init__(self, server: Server) -> None:
        self.server = server
        lines = self.export("records").splitlines()
        self.records = {record["name"]: record for record in map(json.loads, lines)}

    def export(self, form: str, *arguments: str) -> str:
        """What an export writes to standard output."""
        return self.server.run("export", "--format", form, *arguments).stdout

    def of(self, collection: str) -> dict[str, dict[str, Any]]:
        """The records of a collection, by name."""
        return {name: record for name, record in self.records.items() if name.startswith(f"{collection}/")}


@pytest.fixture(scope="module", params=["article", "data set"])
def store(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Store:
    server = start_server()
    if request.param == "article":
        server.run("commit", str(SEED))
    else:
        for commit in ucdp.commits(ucdp.read(UCDP)[:25]):
            server.client.stub.Commit(commit, timeout=60)
    return Store(server)


@pytest.fixture(scope="module")
def article(start_server: Callable[..., Server]) -> Store:
    server = start_server()
    server.run("commit", str(SEED))
    return Store(server)


# ------------------------------------------------------------------------------------------------ CSV


def leaves(value: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a record, those of nested messages by their paths; lists and maps whole."""
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
    """A value of Parquet as proto3 JSON has it: without what is not set, with times and long numbers as texts."""
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
    """A record in proto3 JSON, with its times and long numbers in the types of Python."""
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
            # A span that begins at 0 does not say so in JSON.
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


# ------------------------------------------------------------------------------------------------ STIX


@pytest.fixture(scope="module")
def bundle(store: Store) -> dict[str, Any]:
    return json.loads(store.export("stix"))


def extension(bundle: dict[str, Any]) -> str:
    """The id of the extension that the bundle declares."""
    (definition,) = (each for each in bundle["objects"] if each["type"] == "extension-definition")
    return definition["id"]


def test_the_validator_of_oasis_accepts_the_bundle(bundle: dict[str, Any]) -> None:
    # Ids made from names, and relationships beyond those that are suggested, are warnings, and meant. All else has to hold.
    meant = ["uuid-check", "relationship-types"]
    options = stix2validator.ValidationOptions(version="2.1", disabled=meant, enforce_refs=True)
    results = stix2validator.validate_parsed_json(bundle, options)
    assert results.is_valid, [str(error) for error in results.errors][:5]
    warnings = [str(warning) for each in [results, *getattr(results, "object_results", [])] for warning in each.warnings]
    assert not warnings, warnings[:5]
    broken = json.loads(json.dumps(bundle))
    del broken["objects"][2]["created"]
    assert not stix2validator.validate_parsed_json(broken, options).is_valid


def test_the_library_of_oasis_reads_the_bundle(bundle: dict[str, Any]) -> None:
    parsed = stix2.parse(bundle)
    assert len(parsed.objects) == len(bundle["objects"])


def test_every_record_is_in_the_extension_of_exactly_one_object(store: Store, bundle: dict[str, Any]) -> None:
    key = extension(bundle)
    records = [each["extensions"][key]["record"] for each in bundle["objects"] if key in each.get("extensions", {})]
    assert len(records) == len(store.records)
    assert {record["name"]: record for record in records} == store.records


def test_every_object_that_is_referred_to_is_in_the_bundle(bundle: dict[str, Any]) -> None:
    ids = {each["id"] for each in bundle["objects"]}
    for each in bundle["objects"]:
        refs = [ref for name, ref in each.items() if name.endswith("_ref")]
        refs += [ref for name, many in each.items() if name.endswith("_refs") for ref in many]
        assert set(refs) <= ids, each


def test_the_properties_of_objects_say_what_the_records_say(article: Store) -> None:
    bundle = json.loads(article.export("stix"))
    key = extension(bundle)
    ids = {each["extensions"][key]["record"]["name"]: each for each in bundle["objects"] if key in each.get("extensions", {})}
    actor = ids["actors/north-korea"]
    assert (actor["type"], actor["name"], actor["identity_class"]) == ("identity", "North Korea", "organization")
    assert actor["external_references"] == [{"source_name": "wikidata", "external_id": "Q423"}]
    claim = ids["claims/nk-troops-c01"]
    assert claim["type"] == "note" and claim["content"] == article.records["claims/nk-troops-c01"]["statement"]
    assert ids["sources/nk-troops-2024-10-23"]["id"] in claim["object_refs"] and ids["actors/nis"]["id"] in claim["object_refs"]
    source = ids["sources/nk-troops-2024-10-23"]
    assert (source["type"], source["published"]) == ("report", "2024-10-23T00:00:00Z")
    kinds = {each["type"] for each in bundle["objects"]}
    assert kinds == {
        "artifact",
        "extension-definition",
        "identity",
        "incident",
        "location",
        "note",
        "observed-data",
        "opinion",
        "relationship",
        "report",
    }
    dispute = ids["relations/nk-troops-r13"]
    ends = [dispute["source_ref"], dispute["relationship_type"], dispute["target_ref"]]
    assert ends == [ids["claims/nk-troops-c28"]["id"], "disputes", ids["claims/nk-troops-c23"]["id"]]
    opinions = {each["object_refs"][0]: each["opinion"] for each in bundle["objects"] if each["type"] == "opinion"}
    assert opinions[ids["claims/nk-troops-c23"]["id"]] == "disagree"


def test_a_store_is_the_same_bundle_every_time_and_a_part_of_it_has_the_same_objects(
    store: Store, bundle: dict[str, Any]
) -> None:
    assert store.export("stix") == store.export("stix")
    objects = {each["id"]: each for each in bundle["objects"]}
    some = json.loads(store.export("stix", "estimates"))["objects"]
    assert len(some) == 2 + len(store.of("estimates"))
    assert all(objects[each["id"]] == each for each in some)
