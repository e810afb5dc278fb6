"""Reading: order, freshness, time travel, batches, history. The promises of "Consistency" in docs/api.md, for a few callers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from annals.v1 import record_service_pb2 as rs
from annals_client import Client, create, delete, fails, inner, merge, undelete, unique, unmerge, update
from conftest import Server
from google.protobuf.timestamp_pb2 import Timestamp

LIMITS = {
    "request.bytes": 4 << 20,
    "response.bytes": (4 << 20) - (64 << 10),
    "record.bytes": 256 << 10,
    "commit.mutations": 1000,
    "commit.preconditions": 100,
    "commit.bytes": 3 << 20,
    "external_ids.count": 256,
    "labels.count": 64,
    "references.count": 500,
    "list.page_size": 1000,
    "list.scan_rows": 50_000,
    "list.page_ms": 200,
    "list.sort_rows": 50_000,
    "filter.chars": 4096,
    "filter.terms": 64,
    "filter.depth": 16,
    "batch_get.names": 1000,
    "order_by.fields": 3,
    "request_id.chars": 128,
    "id.chars": 63,
    "scheme.chars": 32,
    "ingest.commits": 256,
    "rpc.http1_headers": 100,
}


def stamp(moment: datetime) -> str:
    """A time as in JSON."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def at(commit_time: Timestamp, microseconds: int = 0) -> str:
    """A commit's time, moved by some microseconds."""
    return stamp(commit_time.ToDatetime(UTC) + timedelta(microseconds=microseconds))


# ------------------------------------------------------------------------------------------------ order and freshness


def test_revisions_are_consecutive_and_times_strictly_increase(fresh: Client) -> None:
    commits = [fresh.commit(create(event={"title": "A"})) for _ in range(50)]
    assert [commit.revision for commit in commits] == list(range(1, 51))
    times = [commit.commit_time.ToNanoseconds() for commit in commits]
    assert all(a < b for a, b in zip(times, times[1:], strict=False))
    assert all(nanos % 1000 == 0 for nanos in times), "microseconds"


def test_a_read_sees_every_commit_answered_before_on_any_connection(client: Client) -> None:
    other = Client(client.address)
    for number in range(50):
        name = client.create(event={"title": f"Event {number}"})
        assert other.get(name).title == f"Event {number}"
        assert other.names("events", f'name = "{name}"') == [name]
    other.close()


def test_revisions_and_records_survive_a_restart(durable: Server) -> None:
    name = durable.client.create(event={"title": "A"})
    before = durable.client.get(name)
    info = durable.client.call("GetServerInfo")
    durable.restart()
    assert durable.client.get(name) == before
    again = durable.client.call("GetServerInfo")
    assert (again.store_id, again.head_revision) == (info.store_id, info.head_revision)
    assert durable.client.commit(create(event={"title": "B"})).revision == before.revision + 1


# ------------------------------------------------------------------------------------------------ as of


def test_a_read_as_of_a_revision_always_answers_the_same(client: Client) -> None:
    name = client.create(event={"title": "Version 0"})
    states = [client.get(name)]
    for number in range(1, 6):
        client.commit(update(event={"name": name, "title": f"Version {number}"}))
        states.append(client.get(name))
    client.commit(delete(name))
    for state in states:
        assert client.get(name, as_of_revision=state.revision) == state
        listed = client.list("events", f'name = "{name}"', as_of_revision=state.revision)
        assert listed == [state]
    with fails("RECORD_NOT_FOUND", "NOT_FOUND"):
        client.get(name, as_of_revision=states[0].revision - 1)


def test_a_read_as_of_a_time_is_of_the_last_commit_at_or_before_it(client: Client) -> None:
    first = client.commit(create(event={"title": "A"}))
    name = first.results[0].name
    time.sleep(0.002)
    second = client.commit(update(event={"name": name, "title": "B"}))
    assert client.get(name, as_of_time=at(first.commit_time)).title == "A"
    assert client.get(name, as_of_time=at(second.commit_time, -1)).title == "A"
    assert client.get(name, as_of_time=at(second.commit_time)).title == "B"
    with fails("RECORD_NOT_FOUND"):
        client.get(name, as_of_time=at(first.commit_time, -1))


def test_before_the_first_commit_the_record_is_empty(fresh: Client) -> None:
    name = fresh.create(event={"title": "A"})
    page = fresh.page("events", as_of_time="2001-01-01T00:00:00Z")
    assert (list(page.events), page.revision, page.next_page_token) == ([], 0, "")
    with fails("RECORD_NOT_FOUND", "NOT_FOUND"):
        fresh.get(name, as_of_time="2001-01-01T00:00:00Z")


def test_a_time_in_the_future_is_refused_and_one_within_a_second_waits(client: Client) -> None:
    name = client.create(event={"title": "A"})
    with fails("FIELD_INVALID", "INVALID_ARGUMENT") as failure:
        client.get(name, as_of_time=stamp(datetime.now(UTC) + timedelta(seconds=60)))
    assert failure.paths == ["as_of_time"]
    soon = datetime.now(UTC) + timedelta(milliseconds=400)
    assert client.get(name, as_of_time=stamp(soon)).title == "A"
    assert datetime.now(UTC) >= soon


def test_an_answer_as_of_a_time_never_changes(client: Client) -> None:
    name = client.create(event={"title": "A"})
    for number in range(20):
        now = stamp(datetime.now(UTC))
        before = client.get(name, as_of_time=now)
        client.commit(update(event={"name": name, "title": f"Title {number}"}))
        assert client.get(name, as_of_time=now) == before


@pytest.mark.parametrize("method", ["GetEvent", "ListEvents", "BatchGetRecords"])
def test_a_read_is_as_of_a_revision_or_of_a_time(client: Client, method: str) -> None:
    name = client.create(event={"title": "A"})
    which = {"GetEvent": {"name": name}, "ListEvents": {}, "BatchGetRecords": {"names": [name]}}[method]
    with fails("FIELD_INVALID") as failure:
        client.call(method, **which, as_of_revision=client.head(), as_of_time="2024-01-01T00:00:00Z")
    assert set(failure.paths) <= {"as_of_time", "as_of_revision"}


@pytest.mark.parametrize("method", ["GetEvent", "ListEvents", "BatchGetRecords", "GetCommit"])
def test_a_revision_ahead_of_the_head_is_refused(client: Client, method: str) -> None:
    name = client.create(event={"title": "A"})
    ahead = client.head() + 1
    which = {
        "GetEvent": {"name": name, "as_of_revision": ahead},
        "ListEvents": {"as_of_revision": ahead},
        "BatchGetRecords": {"names": [name], "as_of_revision": ahead},
        "GetCommit": {"revision": ahead},
    }[method]
    with fails("REVISION_IN_FUTURE", "OUT_OF_RANGE") as failure:
        client.call(method, **which)
    assert failure.metadata["revision"] == str(ahead)
    assert failure.metadata["head_revision"] == str(ahead - 1)


# ------------------------------------------------------------------------------------------------ get


def test_get_wants_a_name_of_its_collection(client: Client) -> None:
    actor = client.create(actor={"display_name": "A"})
    for name in ["", actor, "events/", "events/NO", "nonsense", "events/a/b"]:
        with fails("FIELD_INVALID", "INVALID_ARGUMENT") as failure:
            client.call("GetEvent", name=name)
        assert failure.paths == ["name"]


@pytest.mark.parametrize(
    ("method", "collection"),
    [("GetSource", "sources"), ("GetActor", "actors"), ("GetClaim", "claims"), ("GetEstimate", "estimates")],
)
def test_get_of_a_record_that_never_existed(client: Client, method: str, collection: str) -> None:
    with fails("RECORD_NOT_FOUND", "NOT_FOUND") as failure:
        client.call(method, name=f"{collection}/never-there")
    assert failure.metadata["name"] == f"{collection}/never-there"


# ------------------------------------------------------------------------------------------------ batch


def test_a_batch_comes_in_the_order_asked_from_one_revision(client: Client) -> None:
    event, actor = client.create(event={"title": "A"}), client.create(actor={"display_name": "B"})
    source = client.create(source={"title": "C"})
    batch = client.call("BatchGetRecords", names=[source, event, actor])
    assert [inner(record).name for record in batch.records] == [source, event, actor]
    assert batch.revision == client.head()


def test_a_batch_reports_what_is_missing(client: Client) -> None:
    live, deleted = client.create(event={"title": "A"}), client.create(event={"title": "B"})
    client.commit(delete(deleted))
    with fails("RECORD_NOT_FOUND", "NOT_FOUND") as failure:
        client.call("BatchGetRecords", names=[live, "events/never-there"])
    assert failure.metadata["name"] == "events/never-there"
    batch = client.call("BatchGetRecords", names=["events/never-there", live, deleted], allow_missing=True)
    assert [inner(record).name for record in batch.records] == [live]
    assert list(batch.missing) == ["events/never-there", deleted]


def test_a_batch_as_of_a_revision(client: Client) -> None:
    name = client.create(event={"title": "A"})
    revision = client.head()
    client.commit(update(event={"name": name, "title": "B"}))
    batch = client.call("BatchGetRecords", names=[name], as_of_revision=revision)
    assert (batch.records[0].event.title, batch.revision) == ("A", revision)


def test_a_batch_wants_names(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.call("BatchGetRecords")
    assert failure.paths == ["names"]
    with fails("FIELD_INVALID") as failure:
        client.call("BatchGetRecords", names=["events/a", "nonsense"])
    assert failure.paths == ["names[1]"]


def test_a_batch_that_is_too_large_says_what_to_ask_for_again(client: Client) -> None:
    text = "x" * 60_000
    names = []
    for _ in range(3):
        done = client.commit(*[create(source={"text": text}) for _ in range(40)])
        names += [result.name for result in done.results]
    found: list[str] = []
    asked, revision, rounds = names, 0, 0
    while asked:
        batch = client.call("BatchGetRecords", names=asked, as_of_revision=revision)
        assert batch.ByteSize() <= LIMITS["response.bytes"]
        assert batch.records
        found += [record.source.name for record in batch.records]
        asked, revision, rounds = list(batch.not_returned), batch.revision, rounds + 1
    assert found == names
    assert rounds > 1


# ------------------------------------------------------------------------------------------------ history


def test_the_history_of_a_record_newest_first(client: Client) -> None:
    name = client.create(event={"title": "A"})
    client.commit(update(event={"name": name, "title": "B", "description": "C"}))
    client.commit(delete(name))
    client.commit(undelete(name))
    other = client.create(event={"title": "Other"})
    client.commit(merge(name, other))
    client.commit(unmerge(name))
    changes = client.history(name)
    assert [rs.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_") for change in changes] == [
        "UNMERGED",
        "MERGED",
        "UNDELETED",
        "DELETED",
        "UPDATED",
        "CREATED",
    ]
    updated, created = changes[4], changes[5]
    assert (created.previous_revision, updated.previous_revision) == (0, created.revision)
    assert sorted(updated.changed_fields) == ["description", "title"]
    assert updated.record.event == client.get(name, as_of_revision=updated.revision)
    assert updated.author == "anonymous"
    assert updated.commit_time == client.call("GetCommit", revision=updated.revision).commit_time
    assert changes[3].record.event.HasField("delete_time")
    assert changes[1].redirect_target == other


def test_history_comes_in_pages(client: Client) -> None:
    name = client.create(event={"title": "A"})
    for number in range(9):
        client.commit(update(event={"name": name, "title": f"Title {number}"}))
    revisions: list[int] = []
    token = ""
    sizes = []
    while True:
        page = client.call("ListRevisions", name=name, page_size=4, page_token=token)
        revisions += [change.revision for change in page.changes]
        sizes.append(len(page.changes))
        token = page.next_page_token
        if not token:
            break
    assert len(revisions) == 10
    assert revisions == sorted(revisions, reverse=True)
    assert sizes[0] == 4


def test_history_of_a_record_that_never_existed(client: Client) -> None:
    with fails("RECORD_NOT_FOUND", "NOT_FOUND"):
        client.call("ListRevisions", name="events/never-there")


def test_a_commit_is_read_whole(client: Client) -> None:
    name = client.create(event={"title": "A"})
    request_id = unique("request")
    done = client.commit(
        create(actor={"display_name": "B"}),
        update(event={"name": name, "title": "C"}),
        request_id=request_id,
        annotations={"pipeline": "p1"},
    )
    commit = client.call("GetCommit", revision=done.revision)
    assert (commit.revision, commit.commit_time, commit.request_id) == (done.revision, done.commit_time, request_id)
    assert (commit.author, dict(commit.annotations)) == ("anonymous", {"pipeline": "p1"})
    assert [change.name for change in commit.changes] == [result.name for result in done.results]
    assert [rs.ChangeKind.Name(change.kind) for change in commit.changes] == ["CHANGE_KIND_CREATED", "CHANGE_KIND_UPDATED"]
    assert commit.changes[0].record.actor == client.get(done.results[0].name)
    assert list(commit.changes[1].changed_fields) == ["title"]


# ------------------------------------------------------------------------------------------------ server info


def test_the_server_describes_itself(fresh: Client) -> None:
    fresh.create(event={"title": "A"})
    gone = fresh.create(event={"title": "B"})
    fresh.create(actor={"display_name": "C"})
    fresh.commit(delete(gone))
    info = fresh.call("GetServerInfo")
    assert info.version
    assert info.store_id
    assert info.head_revision == 4
    assert info.oldest_revision <= 1
    assert {key: count for key, count in info.record_counts.items() if count} == {"events": 1, "actors": 1}
    assert abs(info.server_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(seconds=60)


@pytest.mark.parametrize(("limit", "value"), LIMITS.items())
def test_the_server_tells_its_limits(client: Client, limit: str, value: int) -> None:
    assert dict(client.call("GetServerInfo").limits).get(limit) == value
