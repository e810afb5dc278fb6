"""The seed article: one commit of 96 records, stored and returned without loss."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from pathlib import Path

import pytest
from annals.v1 import record_service_pb2 as rs
from annals.v1 import records_pb2, values_pb2
from annals_client import ROOT, TYPES, Client, inner
from conftest import Server, annals
from google.protobuf import json_format
from google.protobuf.message import Message

SEED = ROOT / "tests/data/seed/commit.json"
SENT = json_format.Parse(SEED.read_text(encoding="utf-8"), rs.CommitRequest())
RECORDS = {inner(item.create).name: inner(item.create) for item in SENT.mutations}  # type: ignore[attr-defined]

# Fields that the server computes. Such a field is removed before the comparison only if it was not sent. If it was sent,
# it must come back equal. Anything else that the server added or changed is a loss.
EVERY_RECORD = ["revision", "create_revision", "create_time", "update_time"]
COMPUTED = {name: EVERY_RECORD for _, name in TYPES.values()} | {
    "Source": [*EVERY_RECORD, "sha256"],
    "TimeSpec": ["earliest", "latest"],
    "Quantity": ["status"],
    "Estimand": ["series"],
}


def without_computed(stored: Message, sent: Message) -> None:
    """Removes from `stored`, at every depth, what the server computed and `sent` did not have."""
    filled = {field.name for field, _ in sent.ListFields()}
    for name in COMPUTED.get(stored.DESCRIPTOR.name, []):
        if name not in filled:
            stored.ClearField(name)
    for field, value in sent.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        theirs = getattr(stored, field.name)
        if field.is_repeated:
            for ours, other in zip(value, theirs, strict=True):
                without_computed(other, ours)
        else:
            without_computed(theirs, value)


@pytest.fixture(scope="module")
def seeded(start_server: object) -> Server:
    """A fresh server to which the command line has committed the seed, twice."""
    server: Server = start_server()  # type: ignore[operator]
    server.run("commit", str(SEED))
    server.run("commit", str(SEED))
    return server


def test_the_seed_is_what_the_documents_say() -> None:
    kinds = Counter(name.split("/")[0] for name in RECORDS)
    assert kinds == {"sources": 1, "actors": 21, "events": 20, "claims": 30, "estimates": 12, "relations": 12}
    assert (ROOT / "tests/data/seed/article.txt").read_text(encoding="utf-8") == next(iter(RECORDS.values())).text


def test_a_statement_is_a_sentence_that_says_its_negation() -> None:
    claims = {name: record for name, record in RECORDS.items() if name.startswith("claims/")}
    denials = {name: claim.statement for name, claim in claims.items() if claim.polarity == records_pb2.POLARITY_NEGATED}
    assert len(denials) == 2
    for name, statement in denials.items():
        assert re.search(r"\b(not|no|cannot|lack)\b", statement), name
    # Understandable alone: no pronoun in place of a name, no heading, no remark of the recorder.
    for name, claim in claims.items():
        assert not re.search(r"^(They|He|It|Authorities)\b|[:()]", claim.statement), name
        assert claim.statement.endswith("."), name


def test_the_names_of_an_actor_are_names() -> None:
    for name, actor in RECORDS.items():
        if not name.startswith("actors/"):
            continue
        for text in [actor.display_name, *(other.text for other in actor.names)]:
            assert not re.search(r"^(the|these|they|he|some)\b|^[a-z]|[()/']", text), f"{name}: {text}"
    # The words of the text for an actor stand where they are used.
    (hop,) = RECORDS["claims/nk-troops-c27"].attribution
    assert (list(hop.actors), hop.description, hop.cue) == (["actors/park-sun-won"], "He", "added")


def test_the_source_and_the_times_say_what_the_article_gives() -> None:
    source = RECORDS["sources/nk-troops-2024-10-23"]
    assert source.title and source.published.edtf == "2024-10-23"
    # "On Wednesday" is when the service reported, not when the article was published.
    assert not source.published.verbatim
    briefing, deployment = RECORDS["events/nis-briefing"].time, RECORDS["events/troop-deployment"].time
    assert (briefing.edtf, briefing.verbatim) == (deployment.edtf, deployment.verbatim) == ("2024-10-23", "On Wednesday")
    assert datetime.date.fromisoformat(briefing.edtf).strftime("%A") == "Wednesday"
    # The troops had been sent by then.
    assert deployment.qualifier == values_pb2.TIME_QUALIFIER_BY


def test_the_seed_is_one_revision_of_96_records(seeded: Server) -> None:
    assert seeded.client.head() == 1
    info = seeded.client.call("GetServerInfo")
    assert sum(info.record_counts.values()) == 96
    commit = seeded.client.call("GetCommit", revision=1)
    assert len(commit.changes) == 96
    assert commit.request_id == SENT.request_id
    assert dict(commit.annotations) == dict(SENT.annotations)


def test_the_seed_committed_again_is_replayed(seeded: Server) -> None:
    answer = seeded.client.stub.Commit(SENT, timeout=60)
    assert (answer.replayed, answer.revision) == (True, 1)
    assert [result.name for result in answer.results] == list(RECORDS)
    assert seeded.client.head() == 1


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_comes_back_as_it_was_sent(seeded: Server, name: str) -> None:
    stored = seeded.client.get(name)
    sent = RECORDS[name]
    assert stored.revision == stored.create_revision == 1
    assert stored.create_time == stored.update_time
    without_computed(stored, sent)
    assert stored == sent


def test_lists_and_batches_give_the_same_records(seeded: Server) -> None:
    client: Client = seeded.client
    listed = {record.name: record for collection in TYPES for record in client.list(collection)}
    assert set(listed) == set(RECORDS)
    batch = client.call("BatchGetRecords", names=list(RECORDS))
    assert [inner(record) for record in batch.records] == [client.get(name) for name in RECORDS]
    assert all(listed[name] == client.get(name) for name in RECORDS)


def test_the_comparison_sees_a_loss(seeded: Server) -> None:
    # A comparison that removes too much would never fail. It must fail for one word less and for one field more.
    name = next(name for name in RECORDS if name.startswith("claims/"))
    for spoil in (
        lambda record: record.citations[0].ClearField("quote"),
        lambda record: record.labels.append("x:y"),
        lambda record: record.attribution[0].said_at.CopyFrom(records_pb2.Event(time={"edtf": "2024"}).time),
    ):
        stored = seeded.client.get(name)
        without_computed(stored, RECORDS[name])
        assert stored == RECORDS[name]
        spoil(stored)
        assert stored != RECORDS[name]


def test_the_seed_goes_into_a_folder_and_is_served_from_it(start_server: object, tmp_path: Path) -> None:
    data = tmp_path / "data"
    annals("commit", "--data", str(data), str(SEED))
    annals("commit", "--data", str(data), str(SEED))
    server: Server = start_server(data)  # type: ignore[operator]
    assert server.client.head() == 1
    assert sum(server.client.call("GetServerInfo").record_counts.values()) == 96
    server.stop()
    assert annals("verify", "--data", str(data)).returncode == 0
