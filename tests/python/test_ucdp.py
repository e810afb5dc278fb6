"""The UCDP sample: a thousand published rows are stored whole and read back, column by column."""

from __future__ import annotations

from collections import defaultdict

import pytest
import ucdp
from annals.v1 import record_service_pb2 as rs
from annals_client import ROOT, Client, fails
from conftest import Server

ROWS = ucdp.read(ROOT / "tests/data/ucdp/ged_23_1_sample.csv")
BROKEN = [row for row in ROWS if ucdp.out_of_order(row)]


@pytest.fixture(scope="module")
def loaded(server: Server) -> Client:
    """A server that holds every row of the sample."""
    for request in ucdp.commits(ROWS):
        server.client.stub.Commit(request, timeout=60)
    return server.client


@pytest.fixture(scope="module")
def stored(loaded: Client) -> ucdp.Stored:
    """What the server holds, read back through lists."""
    by_event = defaultdict(list)
    for estimate in loaded.list("estimates", page_size=1000):
        by_event[estimate.estimand.subjects[0]].append(estimate)
    return ucdp.Stored(
        events={event.name: event for event in loaded.list("events", page_size=1000)},
        actors={actor.name: actor for actor in loaded.list("actors", page_size=1000)},
        estimates=by_event,
    )


def test_the_sample_is_what_its_notice_says() -> None:
    assert len(ROWS) == 1000
    assert len(ROWS[0]) == 49
    assert len(BROKEN) == 13


def test_as_many_records_are_stored_as_the_rows_name(loaded: Client) -> None:
    counts = dict(loaded.call("GetServerInfo").record_counts)
    conflicts, dyads = ({row[column] for row in ROWS} for column in ("conflict_new_id", "dyad_new_id"))
    sides = {row[f"side_{side}_new_id"] for row in ROWS for side in "ab"}
    articles = {article for row in ROWS for article in ucdp.split_sources(row)}
    offices = {office.strip() for office, _, _ in articles if office.strip()}
    assert counts["events"] == 1000 + len(conflicts) + len(dyads)
    assert counts["estimates"] == 5000
    # One for the coder and one for the data set.
    assert counts["actors"] == len(sides) + len(offices) + 1
    assert counts["sources"] == len(articles) + 1


def test_every_row_comes_back_column_by_column(stored: ucdp.Stored) -> None:
    events = {ucdp.code_of(event.external_ids, "ucdp.ged"): event for event in stored.events.values()}
    for row in ROWS:
        assert ucdp.row_of(events[ucdp.whole(row["id"])], stored) == row


def test_loading_again_changes_nothing(loaded: Client) -> None:
    head = loaded.head()
    # The same requests: the first results. The same content under other request ids: nothing to change.
    for request in ucdp.commits(ROWS):
        assert loaded.stub.Commit(request, timeout=60).replayed
        request.request_id += ":again"
        answer = loaded.stub.Commit(request, timeout=60)
        assert {result.kind for result in answer.results} == {rs.CHANGE_KIND_UNCHANGED}
    assert loaded.head() == head


def test_filters_find_what_the_rows_say(loaded: Client) -> None:
    def ids(filter_: str) -> set[str]:
        events = loaded.list("events", filter_, page_size=1000)
        return {code for event in events if (code := ucdp.code_of(event.external_ids, "ucdp.ged"))}

    def rows(chosen: object) -> set[str]:
        return {ucdp.whole(row["id"]) for row in ROWS if chosen(row)}  # type: ignore[operator]

    assert ids('labels:"ucdp.country:Syria"') == rows(lambda row: row["country"] == "Syria")
    assert ids('types:"ucdp.type_of_violence:3"') == rows(lambda row: row["type_of_violence"] == "3.0")
    assert ids('time.earliest >= "2013-01-01" AND time.latest <= "2014-01-01"') == rows(
        lambda row: row["date_start"] >= "2013-01-01" and row["date_end"] < "2014-01-01"
    )
    assert ids("places.latitude > 45 AND metrics.ucdp.number_of_sources > 1") == rows(
        lambda row: float(row["latitude"]) > 45 and float(row["number_of_sources"]) > 1
    )
    flagged = loaded.list("estimates", "quantity.inconsistent_as_reported = true", page_size=1000)
    assert {ucdp.code_of(item.external_ids, "ucdp.ged.total") for item in flagged} == {ucdp.whole(row["id"]) for row in BROKEN}


@pytest.mark.parametrize("row", BROKEN, ids=[row["relid"] for row in BROKEN])
def test_a_row_out_of_order_needs_the_flag(client: Client, row: ucdp.Row) -> None:
    request = ucdp.commit([row], flagged=False)
    totals = [n for n, item in enumerate(request.mutations) if item.upsert.record.estimate.quantity.HasField("lower")]
    with fails("FIELD_INVALID", "INVALID_ARGUMENT") as failure:
        client.stub.Commit(request, timeout=60)
    path = f"mutations[{totals[0]}].upsert.record.estimate.quantity"
    assert failure.paths
    assert all(found.startswith(path) for found in failure.paths), failure.violations
    client.stub.Commit(ucdp.commit([row], flagged=True), timeout=60)


def test_a_row_in_order_must_not_have_the_flag(client: Client) -> None:
    row = next(row for row in ROWS if not ucdp.out_of_order(row))
    request = ucdp.commit([row])
    (total,) = (item for item in request.mutations if item.upsert.record.estimate.quantity.HasField("lower"))
    total.upsert.record.estimate.quantity.inconsistent_as_reported = True
    with fails("FIELD_INVALID"):
        client.stub.Commit(request, timeout=60)
