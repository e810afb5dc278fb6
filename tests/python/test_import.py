"""Import and export of external formats through the command line and a server: files come back unchanged."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from annals.v1 import record_service_pb2 as rs
from annals_client import ROOT, Client, create, merge, relation
from conftest import BINARY, Server
from google.protobuf import json_format
from tables import ACLED, ALL, EVENTS, MENTIONS, UCDP, Table, differences


@pytest.fixture
def own(start_server: Callable[..., Server]) -> Server:
    """A server without records."""
    return start_server()


def bring(server: Server, table: Table, *files: Path | str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Imports files. Without files, those of the table."""
    return server.run("import", table.name, *map(str, files or table.files), check=check)


def take(server: Server, table: Table, *arguments: str) -> list[list[str]]:
    """The rows of the table, without a header."""
    rows = table.read(server.run("export", "--format", table.name, *arguments).stdout)
    if table.is_csv:
        assert rows[0] == table.header()
    return rows[1:] if table.is_csv else rows


def counts(done: subprocess.CompletedProcess[str]) -> tuple[int, int, int]:
    """Created, updated and unchanged, from the report."""
    line = next(line for line in done.stderr.splitlines() if " created, " in line)
    words = line.split(": ", 1)[1].replace(",", "").replace(";", "").split()
    return int(words[0]), int(words[words.index("updated") - 1]), int(words[words.index("unchanged") - 1])


def write(folder: Path, table: Table, rows: list[list[str]]) -> Path:
    """A file of rows of a table, with its header."""
    file = folder / f"rows{table.files[0].suffix}"
    file.write_text(table.write(([table.header()] if table.is_csv else []) + rows), encoding="utf-8")
    return file


def column(table: Table, name: str) -> int:
    """The position of a column."""
    return table.header().index(name)


@pytest.mark.parametrize("table", ALL, ids=[table.name for table in ALL])
def test_every_row_comes_back_column_by_column_and_a_second_import_changes_nothing(own: Server, table: Table) -> None:
    published = table.published()
    done = bring(own, table)
    assert f"{len(published):,} rows: " in done.stderr, done.stderr
    assert counts(done)[0] > len(published)
    assert differences(table, published, take(own, table)) == []
    head = own.client.head()
    again = bring(own, table)
    assert counts(again)[:2] == (0, 0)
    judged = own.run("import", table.name, "--again", *map(str, table.files))
    assert counts(judged) == (0, 0, counts(done)[0])
    assert own.client.head() == head


def test_the_comparison_sees_a_cell_that_differs() -> None:
    rows = UCDP.published()
    other = [[*rows[0][:-1], "7"], *rows[1:]]
    assert len(differences(UCDP, rows, other)) == 1
    assert len(differences(UCDP, rows, rows[1:])) == 1
    assert differences(EVENTS, [["1", "043"]], [["1", "43"]])
    assert not differences(UCDP, [["1.0", "2.50"]], [["1", "2.5"]])


def test_rows_that_break_the_order_of_their_bounds_say_so(own: Server, tmp_path: Path) -> None:
    low, best, high = (column(UCDP, name) for name in ("low", "best", "high"))
    broken = [row for row in UCDP.published() if not float(row[low]) <= float(row[best]) <= float(row[high])]
    assert len(broken) == 13
    bring(own, UCDP, write(tmp_path, UCDP, broken + [row for row in UCDP.published()[:50] if row not in broken]))
    flagged = own.client.list("estimates", "quantity.inconsistent_as_reported = true", page_size=1000)
    ids = [row[0].removesuffix(".0") for row in broken]
    assert {estimate.name for estimate in flagged} == {f"estimates/ucdp-ged-{id_}-total" for id_ in ids}


def test_a_row_that_changed_is_a_new_revision_and_the_old_one_can_be_taken_out(own: Server, tmp_path: Path) -> None:
    rows = ACLED.published()
    bring(own, ACLED)
    before = own.client.head()
    rows[2][column(ACLED, "fatalities")] = "17"
    rows[2][column(ACLED, "tags")] = "corrected"
    rows[2][column(ACLED, "timestamp")] = "1800000000"
    done = bring(own, ACLED, write(tmp_path, ACLED, rows))
    assert counts(done) == (0, 2, 55)
    assert differences(ACLED, rows, take(own, ACLED)) == []
    assert differences(ACLED, ACLED.published(), take(own, ACLED, "--as-of", str(before))) == []


def test_what_a_changed_row_no_longer_says_is_removed(own: Server, tmp_path: Path) -> None:
    rows = ACLED.published()[:5]
    bring(own, ACLED, write(tmp_path, ACLED, rows))
    for name in ("tags", "civilian_targeting", "actor2", "assoc_actor_1", "notes"):
        for row in rows:
            row[column(ACLED, name)] = ""
    bring(own, ACLED, write(tmp_path, ACLED, rows))
    assert differences(ACLED, rows, take(own, ACLED)) == []


def test_a_filter_takes_out_its_rows_only(own: Server, tmp_path: Path) -> None:
    rows = UCDP.published()[:100]
    bring(own, UCDP, write(tmp_path, UCDP, rows))
    bring(own, ACLED)
    kind = column(UCDP, "type_of_violence")
    one_sided = [row for row in rows if row[kind] == "3.0"]
    found = take(own, UCDP, "--filter", 'types = "ucdp.type_of_violence:3" OR types = "acled.event_type:Battles"')
    assert differences(UCDP, one_sided, found) == []


@pytest.mark.parametrize("order", [(EVENTS, MENTIONS), (MENTIONS, EVENTS)], ids=["events first", "mentions first"])
def test_events_and_mentions_meet_in_either_order(own: Server, order: tuple[Table, Table]) -> None:
    for table in order:
        bring(own, table)
    assert differences(EVENTS, EVENTS.published(), take(own, EVENTS)) == []
    assert differences(MENTIONS, MENTIONS.published(), take(own, MENTIONS)) == []
    events, mentioned = ({row[0] for row in table.published()} for table in (EVENTS, MENTIONS))
    counted = own.client.call("GetServerInfo").record_counts
    assert counted["events"] == len(events | mentioned)
    stubs = own.client.list("events", "NOT time:*", page_size=1000)
    assert {event.title for event in stubs} == {f"GDELT event {id_}" for id_ in mentioned - events}
    documents = {row[5] for row in MENTIONS.published()} | {row[60] for row in EVENTS.published()}
    assert {source.uri for source in own.client.list("sources", page_size=1000)} == documents
    # A document of a mention has a publisher, whichever row names it first.
    published = {source.uri for source in own.client.list("sources", "publisher:*", page_size=1000)}
    assert published == {row[5] for row in MENTIONS.published()}


def test_an_actor_that_is_there_under_another_name_is_the_rows_actor(own: Server, tmp_path: Path) -> None:
    government = create(actor={"name": "actors/syria", "display_name": "Syria", "external_ids": ["ucdp.actor:118"]})
    own.client.commit(government, create(event={"name": "events/war", "title": "War", "external_ids": ["ucdp.conflict:299"]}))
    all_rows = UCDP.published()[:150]
    done = bring(own, UCDP, write(tmp_path, UCDP, all_rows))
    assert counts(done)[1] == 0, done.stderr
    assert own.client.get("actors/syria").display_name == "Syria"
    named = [column(UCDP, name) for name in ("side_a_new_id", "side_b_new_id")]
    rows = [row for row in all_rows if "118.0" in [row[at] for at in named]]
    found = own.client.list("events", 'participants.actor = "actors/syria"', page_size=1000)
    assert len(found) == len(rows)
    assert own.client.list("events", 'links.event = "events/war"')
    assert differences(UCDP, all_rows, take(own, UCDP)) == []


def test_compressed_files_and_standard_input_are_read(own: Server, tmp_path: Path) -> None:
    text = ACLED.files[0].read_bytes()
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(text))
    created = counts(bring(own, ACLED, packed))[0]
    command = [str(BINARY), "import", "acled", "-", "--server", f"http://{own.address}"]
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=True)
    assert f"{created} unchanged" in done.stderr.decode()


# ------------------------------------------------------------------------------------------------ bad rows


def spoil(rows: list[list[str]], row: int, name: str, cell: str) -> None:
    """Replaces a cell of a row. Rows are counted from 1."""
    rows[row - 1][column(UCDP, name)] = cell


def test_bad_rows_are_refused_by_number_and_reason_and_the_rest_comes_in(own: Server, tmp_path: Path) -> None:
    rows = [list(row) for row in UCDP.published()[:120]]
    spoil(rows, 3, "best", "many")
    spoil(rows, 17, "date_start", "2013-02-30")
    spoil(rows, 18, "latitude", "91.5")
    rows[19] = rows[19][:-2]
    spoil(rows, 31, "best", "")
    spoil(rows, 31, "year", "nan")
    spoil(rows, 32, "date_end", "1901-01-01")
    spoil(rows, 33, "id", "-5")
    spoil(rows, 110, "where_description", "a\x07bell")
    spoil(rows, 111, "source_article", "x" * 9000)
    file = write(tmp_path, UCDP, rows)
    # A letter in Latin-1, as old spreadsheets write it.
    content = file.read_bytes()
    at = content.index(rows[49][1].encode())
    file.write_bytes(content[:at] + b"M\xe9" + content[at:])
    done = bring(own, UCDP, file, check=False)
    assert done.returncode == 1
    said = {int(line.split(": row ")[1].split(":")[0]): line for line in done.stderr.splitlines() if line.startswith("error: ")}
    assert sorted(said) == [3, 17, 18, 20, 31, 32, 33, 50, 110, 111], done.stderr
    for row, words in {
        3: 'best: "many" is not a number',
        17: 'date_start: "2013-02-30" is not a date',
        18: "latitude",
        20: "has 47 columns, but must have 49",
        31: "best: is empty",
        32: "FIELD_INVALID",
        33: 'id: "-5" is not an id',
        50: "relid: is not UTF-8",
        110: "U+0007",
        111: "LIMIT_EXCEEDED",
    }.items():
        assert words in said[row], said[row]
    assert "year" in said[31], "all that is wrong with a row is said"
    assert "10 rows refused" in done.stderr
    good = [row for number, row in enumerate(UCDP.published()[:120], 1) if number not in said]
    assert differences(UCDP, good, take(own, UCDP)) == []


def test_a_truncated_compressed_file_gives_what_can_be_read(own: Server, tmp_path: Path) -> None:
    packed = gzip.compress(write(tmp_path, UCDP, UCDP.published()[:300]).read_bytes())
    file = tmp_path / "cut.csv.gz"
    file.write_bytes(packed[: len(packed) // 2])
    done = bring(own, UCDP, file, check=False)
    assert done.returncode == 1
    rows = take(own, UCDP)
    assert 30 < len(rows) < 290
    assert f"cut.csv.gz: row {len(rows) + 1}: cannot be read" in done.stderr, done.stderr
    ids = {float(row[0]) for row in rows}
    assert differences(UCDP, [row for row in UCDP.published() if float(row[0]) in ids], rows) == []


def test_a_header_that_lacks_columns_and_a_file_that_is_another_are_refused_whole(own: Server, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,relid\n1,2\n", encoding="utf-8")
    good = write(tmp_path, UCDP, UCDP.published()[:20])
    done = bring(own, UCDP, file, EVENTS.files[0], good, check=False)
    assert done.returncode == 1
    assert "a.csv: the header lacks year, active_year, " in done.stderr, done.stderr
    assert "events.tsv: the header lacks id, " in done.stderr
    assert len(take(own, UCDP)) == 20, "the file behind is read"


def test_strict_ends_at_the_first_bad_row_and_applies_nothing_after_it(own: Server, tmp_path: Path) -> None:
    rows = [list(row) for row in UCDP.published()[:150]]
    spoil(rows, 80, "latitude", "100")
    spoil(rows, 90, "latitude", "100")
    done = own.run("import", "ucdp-ged", "--strict", str(write(tmp_path, UCDP, rows)), check=False)
    assert done.returncode == 1
    assert "row 80" in done.stderr
    assert "row 90" not in done.stderr
    assert differences(UCDP, UCDP.published()[:79], take(own, UCDP)) == []


def test_a_dry_run_finds_bad_rows_and_writes_nothing(own: Server, tmp_path: Path) -> None:
    rows = [list(row) for row in UCDP.published()[:130]]
    spoil(rows, 5, "longitude", "200")
    spoil(rows, 6, "deaths_a", "x")
    file = write(tmp_path, UCDP, rows)
    dry = own.run("import", "ucdp-ged", "--dry-run", str(file), check=False)
    assert dry.returncode == 1
    assert own.client.head() == 0
    wet = bring(own, UCDP, file, check=False)
    assert counts(wet)[0] == sum(own.client.call("GetServerInfo").record_counts.values())
    complaints = [[line for line in done.stderr.splitlines() if line.startswith("error")] for done in (dry, wet)]
    assert complaints[0] == complaints[1]
    assert len(complaints[0]) == 2


def test_a_dry_run_counts_what_would_be_made(own: Server, tmp_path: Path) -> None:
    file = write(tmp_path, UCDP, UCDP.published()[:130])
    dry = own.run("import", "ucdp-ged", "--dry-run", str(file))
    assert own.client.head() == 0
    wet = bring(own, UCDP, file)
    assert f"{counts(wet)[0]:,} records would be created" in dry.stderr, dry.stderr


def test_a_quote_that_is_never_closed_is_reported_and_does_not_fill_the_memory(own: Server, tmp_path: Path) -> None:
    file = write(tmp_path, ACLED, ACLED.published()[:5])
    text = file.read_text(encoding="utf-8")
    file.write_text(text + '"never closed' + ",x" * (3 << 20), encoding="utf-8")
    done = bring(own, ACLED, file, check=False)
    assert "row 6: cannot be read" in done.stderr, done.stderr
    assert "look for a quote or a bracket that is not closed" in done.stderr
    assert len(take(own, ACLED)) == 5


def test_an_import_that_was_killed_is_run_again_to_the_end_without_duplicates(durable: Server, tmp_path: Path) -> None:
    rows = [list(row) for row in UCDP.published()[:500]]
    more = []
    for row in rows:
        twin = list(row)
        twin[0] = str(float(row[0]) + 1_000_000)
        twin[1] = row[1] + "-twin"
        more.append(twin)
    file = write(tmp_path, UCDP, rows + more)
    command = [str(BINARY), "import", "ucdp-ged", str(file), "--server", f"http://{durable.address}"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while durable.client.head() < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.kill()
    running.wait(timeout=10)
    imported = durable.client.call("GetServerInfo").record_counts["estimates"]
    assert 0 < imported < 5_000
    bring(durable, UCDP, file)
    assert durable.client.call("GetServerInfo").record_counts["estimates"] == 5_000
    assert differences(UCDP, rows + more, take(durable, UCDP)) == []


# ------------------------------------------------------------------------------------------------ records of our own

SERVERS = ["revision", "create_revision", "create_time", "update_time", "merged_names"]


def exported(server: Server) -> dict[str, dict]:
    """Every record by name, without the fields that the server sets."""
    records = [json.loads(line) for line in server.run("export").stdout.splitlines()]
    return {record["name"]: {key: value for key, value in record.items() if key not in SERVERS} for record in records}


def test_records_that_were_exported_come_in_elsewhere_whatever_refers_to_what(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    first, second = start_server(), start_server()
    first.client.stub.Commit(json_format.Parse((ROOT / "tests/data/seed/commit.json").read_text(), rs.CommitRequest()))
    first.client.commit(
        # A cycle: a source, its publisher, and the source of the name of that publisher.
        create(source={"name": "sources/paper", "publisher": "@house", "derived_from": "@older"}, label="paper"),
        create(source={"name": "sources/z-older"}, label="older"),
        create(
            actor={
                "name": "actors/house",
                "display_name": "House",
                "names": [{"text": "The House", "source": "@paper"}],
                "affiliations": [{"actor": "@owner", "role": "AFFILIATION_ROLE_PART_OF"}],
            },
            label="house",
        ),
        create(actor={"name": "actors/owner", "display_name": "Owner"}, label="owner"),
        create(actor={"name": "actors/twin", "display_name": "Twin"}, label="twin"),
        create(event={"name": "events/a", "title": "A", "links": [{"event": "@z", "kind": "EVENT_LINK_KIND_PART_OF"}]}),
        create(event={"name": "events/z", "title": "Z", "participants": [{"actor": "@twin"}]}, label="z"),
        create(relation=relation("SUPPORTS", "sources/z-older", "@between", name="relations/a"), label="on"),
        create(relation=relation("SUPPORTS", "sources/z-older", "@z", name="relations/b"), label="between"),
    )
    # References to the twin are not rewritten, and the twin is no longer a separate record.
    first.client.commit(merge("actors/twin", "actors/owner"))
    file = tmp_path / "all.ndjson.zst"
    first.run("export", "-o", str(file))
    done = second.run("import", "records", str(file))
    expected = exported(first)
    assert f"{len(expected)} rows: {len(expected)} records created" in done.stderr, done.stderr
    expected["events/z"]["participants"][0]["actor"] = "actors/owner"
    assert exported(second) == expected
    head = second.client.head()
    again = second.run("import", "records", "--again", str(file))
    assert counts(again)[:2] == (0, 0), again.stderr
    assert second.client.head() == head


def test_lines_that_are_no_records_are_refused_by_number(own: Server, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    lines = [
        '{"name":"events/a","title":"A"}',
        "{",
        '{"title":"B"}',
        '{"name":"things/b","title":"B"}',
        '{"name":"events/c","titel":"C"}',
        '{"name":"events/d"}',
        "",
        '{"name":"events/e","title":"E","links":[{"event":"events/nowhere","kind":"EVENT_LINK_KIND_PART_OF"}]}',
        '{"name":"events/f","title":"F"}',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    done = own.run("import", "records", str(file), check=False)
    assert done.returncode == 1
    said = {int(line.split(": row ")[1].split(":")[0]): line for line in done.stderr.splitlines() if line.startswith("error: ")}
    for row, words in {
        2: "not JSON",
        3: 'has no "name"',
        4: '"things" is not a collection',
        5: "titel",
        6: "title",
        8: "REFERENCE_NOT_FOUND",
    }.items():
        assert words in said.pop(row), done.stderr
    assert not said
    assert own.client.names("events") == ["events/a", "events/e", "events/f"]


def test_a_missing_file_an_unknown_format_and_a_needless_mapping_are_reported(client: Client) -> None:
    address = f"http://{client.address}"
    for arguments, words in [
        (["ucdp-ged", "/nowhere.csv"], "cannot read /nowhere.csv"),
        (["ucdp", "a.csv"], "ucdp-ged"),
        (["acled", "--mapping", "m.toml", "a.csv"], "takes no --mapping"),
    ]:
        done = subprocess.run(
            [str(BINARY), "import", *arguments, "--server", address], capture_output=True, text=True, timeout=60
        )
        assert done.returncode != 0
        assert words in done.stderr, done.stderr
