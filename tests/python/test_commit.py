"""Commit: the promises of its ten rules, with at least one test for each, in the order of docs/api.md."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from annals.v1 import record_service_pb2 as rs
from annals_client import (
    Client,
    claim,
    create,
    delete,
    estimate,
    fails,
    kinds,
    merge,
    plain,
    relation,
    undelete,
    unique,
    unmerge,
    update,
    upsert,
)
from conftest import Server


def new_event(client: Client, **more: object) -> str:
    """Creates an event and returns its name."""
    return client.create(event={"title": "An event"} | more)


def new_actor(client: Client, **more: object) -> str:
    """Creates an actor and returns its name."""
    return client.create(actor={"display_name": "An actor"} | more)


# ------------------------------------------------------------------------------------------------ 1 order


def test_a_record_is_named_by_one_mutation_only(client: Client) -> None:
    name = new_event(client)
    other = new_event(client)
    with fails("DUPLICATE_MUTATION", "INVALID_ARGUMENT") as failure:
        client.commit(update(event={"name": name, "title": "B"}), update(event={"name": other, "title": "B"}), delete(name))
    assert failure.metadata["name"] == name
    assert (failure.metadata["first"], failure.metadata["second"]) == ("0", "2")


def test_results_come_one_for_each_mutation_in_order(client: Client) -> None:
    gone, changed = new_event(client), new_event(client)
    done = client.commit(delete(gone), create(event={"title": "New"}), update(event={"name": changed, "title": "B"}))
    assert kinds(done) == ["DELETED", "CREATED", "UPDATED"]
    assert done.results[0].name == gone
    assert done.results[2].name == changed
    assert {result.revision for result in done.results} == {done.revision}


def test_a_later_mutation_sees_the_effect_of_earlier_ones(client: Client) -> None:
    external_id = f"test:{unique()}"
    holder = new_event(client, external_ids=[external_id])
    # The id is free when the second mutation looks for it.
    done = client.commit(delete(holder), upsert(event={"title": "B", "external_ids": [external_id]}))
    assert kinds(done) == ["DELETED", "CREATED"]
    # And the second upsert finds what the first has created.
    other = f"test:{unique()}"
    made = {"title": "A", "external_ids": [other]}
    done = client.commit(upsert(event=made), upsert(event=made, create_only=True))
    assert kinds(done) == ["CREATED", "UNCHANGED"]
    assert done.results[0].name == done.results[1].name


def test_an_external_id_moves_within_one_commit_in_either_order(client: Client) -> None:
    first, second = f"test:{unique()}", f"test:{unique()}"
    one, two = new_event(client, external_ids=[first]), new_event(client, external_ids=[second])
    # Uniqueness is checked on the state after the last mutation, so that two records can swap.
    client.commit(
        update(["external_ids"], event={"name": one, "external_ids": [second]}),
        update(["external_ids"], event={"name": two, "external_ids": [first]}),
    )
    assert client.get(one).external_ids == [second]
    assert client.get(two).external_ids == [first]


# ------------------------------------------------------------------------------------------------ 2 all or nothing


def test_on_failure_nothing_is_written(client: Client) -> None:
    name = f"events/{unique()}"
    head = client.head()
    with fails("FIELD_INVALID"):
        client.commit(create(event={"name": name, "title": "A"}), create(event={"title": ""}))
    assert client.head() == head
    with fails("RECORD_NOT_FOUND", "NOT_FOUND"):
        client.get(name)


def test_every_violation_of_a_stage_is_reported_with_its_path(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(
            create(event={"title": "", "places": [{"latitude": 91, "longitude": 1}, {"latitude": 1}]}),
            create(actor={"display_name": "A"}),
            create(
                claim=claim("sources/none", kind="CLAIM_KIND_UNSPECIFIED", attribution=[{"description": "a"}, {}], citations=[])
            ),
        )
    assert {path.split(".", 2)[-1] for path in failure.paths if path.startswith("mutations[0]")} == {
        "event.title",
        "event.places[0].latitude",
        next(path for path in failure.paths if "places[1]" in path).split(".", 2)[-1],
    }
    assert {path for path in failure.paths if path.startswith("mutations[2]")} == {
        "mutations[2].create.claim.kind",
        "mutations[2].create.claim.attribution[1]",
        "mutations[2].create.claim.citations",
    }
    order = [int(path[len("mutations[")]) for path in failure.paths]
    assert order == sorted(order), "in the order of the mutations"


def test_every_failed_precondition_is_reported(client: Client) -> None:
    one, two, three = new_event(client), new_event(client), new_event(client)
    revisions = [client.get(name).revision for name in (one, two, three)]
    with fails("REVISION_MISMATCH", "ABORTED") as failure:
        client.commit(
            update(event={"name": one, "title": "B"}, if_revision=revisions[0] + 1),
            update(event={"name": two, "title": "B"}, if_revision=revisions[1]),
            preconditions=[{"name": three, "revision": 1 << 40}, {"name": two, "exists": True}, {"name": two, "exists": False}],
        )
    assert sorted(failure.subjects) == sorted([one, three, two])
    assert failure.metadata["name"] in (one, three)


STAGES = {
    "shape": ("FIELD_INVALID", create(event={"name": "events/NO", "title": "A"})),
    "precondition": ("REVISION_MISMATCH", None),
    "existence": ("RECORD_NOT_FOUND", update(event={"name": "events/never-there", "title": "A"})),
    "rules": ("FIELD_INVALID", create(event={"title": "A", "places": [{"latitude": 91, "longitude": 0}]})),
    "references": ("REFERENCE_NOT_FOUND", create(event={"title": "A", "participants": [{"actor": "actors/never-there"}]})),
    "external ids": ("EXTERNAL_ID_TAKEN", create(event={"title": "A", "external_ids": ["test:taken-by-stages"]})),
}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [(a, b) for i, a in enumerate(STAGES) for b in list(STAGES)[i + 1 :]],
)
def test_the_first_failing_stage_answers(client: Client, earlier: str, later: str) -> None:
    client.commit(upsert(event={"title": "A", "external_ids": ["test:taken-by-stages"]}))
    # The mutation of the later stage comes first. The order of stages decides, not that of mutations.
    mutations = [STAGES[stage][1] for stage in (later, earlier) if STAGES[stage][1] is not None]
    preconditions = [{"name": "events/never-there", "exists": True}] if "precondition" in (earlier, later) else []
    with fails(STAGES[earlier][0]) as failure:
        client.commit(*mutations, preconditions=preconditions)
    if earlier == "rules":
        assert failure.paths == [f"mutations[{len(mutations) - 1}].create.event.places[0].latitude"]


def test_missing_references_are_all_reported(client: Client) -> None:
    with fails("REFERENCE_NOT_FOUND") as failure:
        client.commit(
            create(event={"title": "A", "participants": [{"actor": "actors/no-1"}, {"associated_with": "actors/no-2"}]}),
            create(claim=claim("sources/no-3")),
        )
    assert failure.subjects == ["actors/no-1", "actors/no-2", "sources/no-3"]


def test_a_commit_without_mutations_is_refused(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit()
    assert failure.paths == ["mutations"]


def test_a_mutation_without_an_operation_is_refused(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(rs.Mutation(label="a"))
    assert failure.paths[0].startswith("mutations[0]")


def test_a_record_without_content_is_refused(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(rs.Mutation(create={}))
    assert failure.paths[0].startswith("mutations[0].create")


# ------------------------------------------------------------------------------------------------ 3 no-ops


def test_a_commit_that_changes_nothing_makes_no_revision(client: Client) -> None:
    name = new_event(client)
    before = client.get(name)
    head = client.head()
    done = client.commit(update(event={"name": name, "title": "An event"}))
    assert kinds(done) == ["UNCHANGED"]
    assert done.revision == head == client.head()
    assert done.results[0].name == name
    assert done.results[0].revision == before.revision
    assert client.get(name) == before


def test_an_unchanged_record_beside_a_changed_one_stays_as_it_was(client: Client) -> None:
    same, changed = new_event(client), new_event(client)
    before = client.get(same)
    done = client.commit(update(event={"name": same, "title": "An event"}), update(event={"name": changed, "title": "B"}))
    assert kinds(done) == ["UNCHANGED", "UPDATED"]
    assert client.get(same) == before
    commit = client.call("GetCommit", revision=done.revision)
    assert [change.name for change in commit.changes] == [changed]
    assert [change.revision for change in client.history(same)] == [before.revision]


# ------------------------------------------------------------------------------------------------ 4 request_id


def test_a_repeated_request_gets_the_first_result(client: Client) -> None:
    request_id = unique("request")
    name = f"events/{unique()}"
    first = client.commit(create(event={"name": name, "title": "A"}), request_id=request_id)
    client.commit(update(event={"name": name, "title": "B"}))
    head = client.head()
    # Looked up before any rule: the name is taken now, and that does not matter.
    again = client.commit(create(event={"name": name, "title": "A"}), request_id=request_id)
    assert (first.replayed, again.replayed) == (False, True)
    again.replayed = False
    assert again == first
    assert client.head() == head
    assert client.get(name).title == "B"


def test_a_request_id_with_other_content_is_refused(client: Client) -> None:
    request_id = unique("request")
    first = client.commit(create(event={"title": "A"}), request_id=request_id)
    for mutations, more in [
        ([create(event={"title": "B"})], {}),
        ([create(event={"title": "A"}), create(event={"title": "A"})], {}),
        ([create(event={"title": "A"})], {"preconditions": [{"name": "events/never-there", "exists": False}]}),
    ]:
        with fails("REQUEST_ID_REUSED", "FAILED_PRECONDITION") as failure:
            client.commit(*mutations, request_id=request_id, **more)
        assert failure.metadata == {"request_id": request_id, "revision": str(first.revision)}


def test_annotations_are_not_part_of_the_content(client: Client) -> None:
    request_id = unique("request")
    first = client.commit(create(event={"title": "A"}), request_id=request_id, annotations={"trace": "1"})
    again = client.commit(create(event={"title": "A"}), request_id=request_id, annotations={"trace": "2"})
    assert again.replayed
    assert again.revision == first.revision
    assert dict(client.call("GetCommit", revision=first.revision).annotations) == {"trace": "1"}


def test_the_order_of_maps_is_not_part_of_the_content(client: Client) -> None:
    request_id = unique("request")
    keys = [f"key{n}" for n in range(20)]
    client.commit(create(event={"title": "A", "metrics": {key: 1.0 for key in keys}}), request_id=request_id)
    again = client.commit(create(event={"title": "A", "metrics": {key: 1.0 for key in reversed(keys)}}), request_id=request_id)
    assert again.replayed


def test_a_commit_that_changed_nothing_is_remembered(client: Client) -> None:
    request_id = unique("request")
    name = new_event(client)
    first = client.commit(update(event={"name": name, "title": "An event"}), request_id=request_id)
    client.commit(update(event={"name": name, "title": "B"}))
    again = client.commit(update(event={"name": name, "title": "An event"}), request_id=request_id)
    assert kinds(again) == ["UNCHANGED"]
    assert again.replayed
    assert again.revision == first.revision
    assert client.get(name).title == "B"


def test_a_failed_commit_is_not_remembered(client: Client) -> None:
    request_id = unique("request")
    with fails("FIELD_INVALID"):
        client.commit(create(event={"title": ""}), request_id=request_id)
    done = client.commit(create(event={"title": "A"}), request_id=request_id)
    assert not done.replayed


def test_validate_only_writes_nothing_and_remembers_nothing(client: Client) -> None:
    request_id = unique("request")
    head = client.head()
    named = f"events/{unique()}"
    mutations = [create(event={"name": named, "title": "A"}), create(event={"title": "B"})]
    dry = client.commit(*mutations, request_id=request_id, validate_only=True)
    assert dry.revision == 0
    assert kinds(dry) == ["CREATED", "CREATED"]
    assert [result.name for result in dry.results] == [named, ""]
    assert client.head() == head
    assert not client.commit(*mutations, request_id=request_id).replayed
    # A known id is not looked up. The name is taken now, so the dry run fails.
    with fails("NAME_TAKEN"):
        client.commit(*mutations, request_id=request_id, validate_only=True)
    # And no id is needed.
    assert client.commit(create(event={"title": "A"}), request_id="", validate_only=True).revision == 0


def test_validate_only_reports_violations(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(create(event={"title": ""}), request_id="", validate_only=True)
    assert failure.paths == ["mutations[0].create.event.title"]


def test_a_commit_needs_a_request_id(client: Client) -> None:
    with fails("REQUEST_ID_MISSING", "INVALID_ARGUMENT"):
        client.commit(create(event={"title": "A"}), request_id="")


@pytest.mark.parametrize("request_id", ["A-z.0_9:", "x" * 128])
def test_a_request_id_of_the_documented_form_is_accepted(client: Client, request_id: str) -> None:
    client.commit(create(event={"title": "A"}), request_id=request_id)


@pytest.mark.parametrize("request_id", ["a b", "é", "x" * 129, "a/b", "a\n"])
def test_a_request_id_of_another_form_is_refused(client: Client, request_id: str) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(create(event={"title": "A"}), request_id=request_id)
    assert failure.paths == ["request_id"]


def test_of_many_at_once_with_one_request_id_one_is_done(client: Client) -> None:
    request_id = unique("request")
    external_id = f"test:{unique()}"

    def send(_: int) -> rs.CommitResponse:
        return client.commit(create(event={"title": "A", "external_ids": [external_id]}), request_id=request_id)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    assert [answer.replayed for answer in answers].count(False) == 1
    assert len({(answer.revision, answer.results[0].name) for answer in answers}) == 1


def test_a_request_id_is_remembered_through_a_restart(durable: Server) -> None:
    mutations = [create(event={"title": "A"})]
    first = durable.client.commit(*mutations, request_id="kept")
    durable.restart()
    again = durable.client.commit(*mutations, request_id="kept")
    assert again.replayed
    assert again.results == first.results
    assert again.commit_time == first.commit_time
    with fails("REQUEST_ID_REUSED"):
        durable.client.commit(create(event={"title": "B"}), request_id="kept")


# ------------------------------------------------------------------------------------------------ 5 unknown outcomes


def test_a_request_cut_off_by_its_deadline_can_be_sent_again(client: Client) -> None:
    external_ids = [f"test:{unique()}" for _ in range(30)]
    for number, external_id in enumerate(external_ids):
        mutations = [create(event={"title": "A", "external_ids": [external_id]})]
        request = rs.CommitRequest(request_id=external_id, mutations=mutations)
        try:
            client.stub.Commit(request, timeout=0.0002 * (number % 10 + 1))
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
        client.commit(*mutations, request_id=external_id)
    for external_id in external_ids:
        assert len(client.names("events", f'external_ids:"{external_id}"')) == 1


# ------------------------------------------------------------------------------------------------ 6 update


def test_an_update_replaces_each_field_whole(client: Client) -> None:
    name = new_event(
        client,
        time={"edtf": "2024-10-23", "verbatim": "On Wednesday"},
        types=["a:1", "a:2"],
        metrics={"x": 1, "y": 2},
        description="kept",
    )
    client.commit(update(event={"name": name, "time": {"edtf": "2024-12"}, "types": ["a:3"], "metrics": {"z": 3}}))
    record = client.get(name)
    assert record.time.edtf == "2024-12"
    assert record.time.verbatim == ""
    assert record.types == ["a:3"]
    assert dict(record.metrics) == {"z": 3}
    assert record.description == "kept"


def test_update_fields_takes_proto_and_json_names(client: Client) -> None:
    name = new_actor(client, countries=["PRK"])
    client.commit(update(["displayName"], actor={"name": name, "display_name": "B", "countries": ["RUS"]}))
    assert (client.get(name).display_name, client.get(name).countries) == ("B", ["PRK"])
    client.commit(update(["display_name"], actor={"name": name, "display_name": "C"}))
    assert client.get(name).display_name == "C"


@pytest.mark.parametrize("field", ["time.edtf", "no_such_field", "places[0]", "", "Title"])
def test_update_fields_takes_top_level_names_only(client: Client, field: str) -> None:
    name = new_event(client)
    with fails("FIELD_INVALID") as failure:
        client.commit(update(["title", field], event={"name": name, "title": "B"}))
    assert failure.paths == ["mutations[0].update.update_fields[1]"]


def test_a_listed_field_that_is_not_sent_is_cleared(client: Client) -> None:
    name = new_event(client, description="A", types=["a:1"], time={"edtf": "2024"})
    client.commit(update(["description", "types", "time"], event={"name": name}))
    assert set(plain(client.get(name))) == {"name", "title", "revision", "create_revision", "create_time", "update_time"}


def test_without_a_list_the_set_fields_are_updated(client: Client) -> None:
    name = new_event(client, description="A", types=["a:1"])
    done = client.commit(update(event={"name": name, "description": "", "types": []}))
    # An empty string or list looks like an absent one. To set it, list the field.
    assert kinds(done) == ["UNCHANGED"]
    assert client.get(name).types == ["a:1"]


def test_a_false_is_set_only_by_listing_it(client: Client) -> None:
    name = new_actor(client, unnamed=True)
    client.commit(update(actor={"name": name, "unnamed": False, "description": "A"}))
    assert client.get(name).unnamed
    client.commit(update(["unnamed"], actor={"name": name}))
    assert not client.get(name).unnamed


def test_a_star_sets_every_field_but_immutable_ones(client: Client) -> None:
    name = client.create(source={"title": "A", "text": "The text.", "uri": "https://example.org/a", "labels": ["a:1"]})
    client.commit(update(["*"], source={"name": name, "title": "B", "text": "Another text."}))
    record = client.get(name)
    assert (record.title, record.uri, list(record.labels)) == ("B", "", [])
    assert record.text == "The text."


def test_output_only_fields_and_the_name_are_ignored_where_they_are_sent(client: Client) -> None:
    sent = {
        "title": "A",
        "revision": 999,
        "create_revision": 998,
        "create_time": "2001-01-01T00:00:00Z",
        "update_time": "2001-01-01T00:00:00Z",
        "delete_time": "2001-01-01T00:00:00Z",
        "merged_names": ["events/x"],
    }
    done = client.commit(create(event=sent))
    name = done.results[0].name
    first = client.get(name)
    assert (first.revision, first.create_revision) == (done.revision, done.revision)
    assert first.create_time == first.update_time == done.commit_time
    assert not first.HasField("delete_time")
    assert not first.merged_names
    fields = ["name", "title", "revision", "create_time", "merged_names"]
    assert kinds(client.commit(update(fields, event={"name": name, **sent}))) == ["UNCHANGED"]
    assert client.get(name) == first


def test_an_immutable_field_is_set_once(client: Client) -> None:
    name = client.create(source={"title": "A"})
    client.commit(update(source={"name": name, "text": "The text."}))
    assert client.get(name).text == "The text."
    client.commit(update(["text"], source={"name": name, "text": "The text."}))
    for fields, text in [([], "Another."), (["text"], "")]:
        with fails("FIELD_INVALID") as failure:
            client.commit(update(fields, source={"name": name, "text": text}))
        assert failure.paths == ["mutations[0].update.record.source.text"]


@pytest.mark.parametrize("field", ["kind", "subject", "object", "asserted_by"])
def test_what_a_relation_says_does_not_change(client: Client, field: str) -> None:
    one, two, three = new_event(client), new_event(client), new_event(client)
    first, second = new_actor(client), new_actor(client)
    name = client.create(relation=relation("CAUSES", one, two, asserted_by=first))
    other = {"kind": "RELATION_KIND_ENABLES", "subject": three, "object": three, "asserted_by": second}[field]
    with fails("FIELD_INVALID") as failure:
        client.commit(update([field], relation={"name": name, field: other}))
    assert failure.paths == [f"mutations[0].update.record.relation.{field}"]


def test_a_required_field_is_not_cleared(client: Client) -> None:
    name = new_event(client)
    with fails("FIELD_INVALID") as failure:
        client.commit(update(["title"], event={"name": name}))
    assert failure.paths == ["mutations[0].update.record.event.title"]


def test_an_update_needs_a_live_record(client: Client) -> None:
    deleted, old, new = new_event(client), new_event(client), new_event(client)
    client.commit(delete(deleted), merge(old, new))
    with fails("RECORD_NOT_FOUND", "NOT_FOUND") as failure:
        client.commit(update(event={"name": "events/never-there", "title": "B"}))
    assert failure.metadata["name"] == "events/never-there"
    with fails("RECORD_DELETED", "FAILED_PRECONDITION") as failure:
        client.commit(update(event={"name": deleted, "title": "B"}))
    assert failure.metadata["name"] == deleted
    with fails("RECORD_REDIRECTED", "FAILED_PRECONDITION") as failure:
        client.commit(update(event={"name": old, "title": "B"}))
    assert (failure.metadata["name"], failure.metadata["target"]) == (old, new)


def test_an_update_needs_a_name(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(update(event={"title": "B"}))
    assert failure.paths == ["mutations[0].update.record.event.name"]


def test_if_revision_holds_or_the_commit_fails(client: Client) -> None:
    name = new_event(client)
    revision = client.get(name).revision
    client.commit(update(event={"name": name, "title": "B"}, if_revision=revision))
    now = client.get(name).revision
    with fails("REVISION_MISMATCH", "ABORTED") as failure:
        client.commit(update(event={"name": name, "title": "C"}, if_revision=revision))
    assert failure.metadata["name"] == name
    assert failure.metadata["expected"] == str(revision)
    assert failure.metadata["actual"] == str(now)
    for stale in (delete(name, if_revision=revision), merge(name, new_event(client), if_revision=revision)):
        with fails("REVISION_MISMATCH"):
            client.commit(stale)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"revision": "now"}, True),
        ({"revision": "before"}, False),
        ({"unchanged_since": "now"}, True),
        ({"unchanged_since": "before"}, False),
        ({"exists": True}, True),
        ({"exists": False}, False),
    ],
)
def test_a_precondition_on_a_live_record(client: Client, condition: dict, holds: bool) -> None:
    name = new_event(client)
    revision = client.get(name).revision
    values = {"now": revision, "before": revision - 1}
    condition = {key: values.get(value, value) if isinstance(value, str) else value for key, value in condition.items()}
    mutation = create(event={"title": "A"})
    if holds:
        client.commit(mutation, preconditions=[{"name": name} | condition])
    else:
        with fails("REVISION_MISMATCH") as failure:
            client.commit(mutation, preconditions=[{"name": name} | condition])
        assert failure.subjects == [name]


@pytest.mark.parametrize("state", ["absent", "deleted", "redirect"])
def test_what_is_not_there_has_revision_0(client: Client, state: str) -> None:
    name = f"events/{unique()}"
    if state != "absent":
        client.create(event={"name": name, "title": "A"})
        client.commit(delete(name) if state == "deleted" else merge(name, new_event(client)))
    mutation = create(event={"title": "A"})
    client.commit(mutation, preconditions=[{"name": name, "revision": 0}, {"name": name, "exists": False}])
    with fails("REVISION_MISMATCH") as failure:
        client.commit(mutation, preconditions=[{"name": name, "exists": True}])
    assert failure.subjects == [name]


def test_a_precondition_needs_a_condition(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(create(event={"title": "A"}), preconditions=[{"name": "events/x"}])
    assert failure.paths == ["preconditions[0].condition"] or failure.paths == ["preconditions[0]"]


# ------------------------------------------------------------------------------------------------ 7 upsert


def test_an_upsert_creates_then_updates(client: Client) -> None:
    external_id = f"test:{unique()}"
    first = client.commit(upsert(event={"external_ids": [external_id], "title": "A", "description": "kept"}))
    second = client.commit(upsert(event={"external_ids": [external_id], "title": "B"}))
    third = client.commit(upsert(event={"external_ids": [external_id], "title": "B"}))
    assert kinds(first) + kinds(second) + kinds(third) == ["CREATED", "UPDATED", "UNCHANGED"]
    name = first.results[0].name
    assert {second.results[0].name, third.results[0].name} == {name}
    record = client.get(name)
    assert (record.title, record.description) == ("B", "kept")


def test_an_upsert_needs_external_ids_or_a_name(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(upsert(event={"title": "A"}))
    assert failure.paths[0].startswith("mutations[0].upsert.record")


def test_an_upsert_creates_under_the_name_it_is_given(client: Client) -> None:
    name = f"events/{unique()}"
    done = client.commit(upsert(event={"name": name, "title": "A", "external_ids": [f"test:{unique()}"]}))
    assert (done.results[0].name, kinds(done)) == (name, ["CREATED"])


def test_an_upsert_that_matches_several_records_is_refused(client: Client) -> None:
    ids = [f"test:{unique()}" for _ in range(2)]
    names = [new_event(client, external_ids=[id_]) for id_ in ids]
    with fails("UPSERT_AMBIGUOUS", "FAILED_PRECONDITION") as failure:
        client.commit(upsert(event={"title": "A", "external_ids": ids}))
    assert all(name in failure.metadata["names"] for name in names)


def test_a_record_matched_by_name_gains_the_external_ids(client: Client) -> None:
    name = new_event(client, external_ids=[f"test:{unique()}"])
    external_id = f"test:{unique()}"
    done = client.commit(upsert(event={"name": name, "external_ids": [external_id], "title": "B"}))
    assert (done.results[0].name, kinds(done)) == (name, ["UPDATED"])
    assert external_id in client.get(name).external_ids
    assert len(client.get(name).external_ids) == 2


def test_an_upsert_of_a_deleted_name_is_refused(client: Client) -> None:
    name = new_event(client)
    client.commit(delete(name))
    with fails("RECORD_DELETED", "FAILED_PRECONDITION") as failure:
        client.commit(upsert(event={"name": name, "title": "A", "external_ids": [f"test:{unique()}"]}))
    assert failure.metadata["name"] == name


def test_an_upsert_only_adds_external_ids_and_labels(client: Client) -> None:
    first, second = f"test:{unique()}", f"test:{unique()}"
    name = new_event(client, external_ids=[first], labels=["a:1", "a:2"], types=["t:1"])
    client.commit(upsert(event={"external_ids": [second, first], "labels": ["a:3", "a:1"], "types": ["t:2"]}))
    record = client.get(name)
    assert sorted(record.external_ids) == sorted([first, second])
    assert sorted(record.labels) == ["a:1", "a:2", "a:3"]
    assert record.types == ["t:2"]
    # Labels are replaced if they are listed. External ids are never replaced.
    client.commit(upsert(["labels", "external_ids"], event={"external_ids": [second], "labels": ["a:4"]}))
    record = client.get(name)
    assert sorted(record.external_ids) == sorted([first, second])
    assert record.labels == ["a:4"]


def test_create_only_leaves_a_matched_record_as_it_is(client: Client) -> None:
    external_id = f"test:{unique()}"
    name = new_event(client, external_ids=[external_id])
    before = client.get(name)
    done = client.commit(upsert(event={"external_ids": [external_id], "title": "B", "labels": ["a:1"]}, create_only=True))
    assert (done.results[0].name, kinds(done)) == (name, ["UNCHANGED"])
    assert client.get(name) == before


def test_two_upserts_of_one_record_in_one_commit(client: Client) -> None:
    external_id = f"test:{unique()}"
    with fails("DUPLICATE_MUTATION") as failure:
        client.commit(
            upsert(event={"external_ids": [external_id], "title": "A"}),
            upsert(event={"external_ids": [external_id], "title": "B"}),
        )
    assert (failure.metadata["first"], failure.metadata["second"]) == ("0", "1")
    name = new_event(client, external_ids=[external_id])
    done = client.commit(
        upsert(event={"external_ids": [external_id], "title": "B"}),
        upsert(event={"external_ids": [external_id], "title": "C"}, create_only=True),
    )
    assert kinds(done) == ["UPDATED", "UNCHANGED"]
    assert {result.name for result in done.results} == {name}
    assert client.get(name).title == "B"


def test_parallel_upserts_of_one_external_id_make_one_record(client: Client) -> None:
    external_id = f"test:{unique()}"
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda n: client.commit(upsert(event={"external_ids": [external_id], "title": f"Title {n}"})).results[0].name,
                range(64),
            )
        )
    assert len(set(answers)) == 1


# ------------------------------------------------------------------------------------------------ 8 delete, undelete


def test_a_record_that_is_referred_to_is_not_deleted(client: Client) -> None:
    actor = new_actor(client)
    referrers = [new_event(client, participants=[{"actor": actor}]) for _ in range(12)]
    with fails("REFERENCED", "FAILED_PRECONDITION") as failure:
        client.commit(delete(actor))
    assert failure.metadata["name"] == actor
    assert failure.metadata["count"] == "12"
    assert sum(name in failure.metadata["referrers"] for name in referrers) == 10


@pytest.mark.parametrize("referrer_first", [True, False])
def test_it_is_deleted_together_with_what_refers_to_it(client: Client, referrer_first: bool) -> None:
    actor = new_actor(client)
    event = new_event(client, participants=[{"actor": actor}])
    names = [event, actor] if referrer_first else [actor, event]
    assert kinds(client.commit(*[delete(name) for name in names])) == ["DELETED", "DELETED"]


def test_it_is_deleted_when_what_refers_to_it_is_re_pointed(client: Client) -> None:
    actor, other = new_actor(client), new_actor(client)
    event = new_event(client, participants=[{"actor": actor}])
    client.commit(delete(actor), update(event={"name": event, "participants": [{"actor": other}]}))
    with fails("RECORD_DELETED", "NOT_FOUND"):
        client.get(actor)


def test_a_deleted_record_is_read_only_on_request(client: Client) -> None:
    name = new_event(client)
    before = client.get(name)
    done = client.commit(delete(name))
    with fails("RECORD_DELETED", "NOT_FOUND") as failure:
        client.get(name)
    assert (failure.metadata["name"], failure.metadata["revision"]) == (name, str(done.revision))
    shown = client.get(name, show_deleted=True)
    assert shown.delete_time == done.commit_time
    assert shown.revision == done.revision
    assert shown.title == before.title
    assert client.get(name, as_of_revision=done.revision - 1) == before


def test_deleting_a_record_that_does_not_exist(client: Client) -> None:
    name = new_event(client)
    client.commit(delete(name))
    with fails("RECORD_NOT_FOUND", "NOT_FOUND"):
        client.commit(delete("events/never-there"))
    with fails("RECORD_DELETED", "FAILED_PRECONDITION"):
        client.commit(delete(name))
    head = client.head()
    done = client.commit(delete(name, allow_missing=True), delete("events/never-there", allow_missing=True))
    assert kinds(done) == ["UNCHANGED", "UNCHANGED"]
    assert client.head() == head


def test_a_merge_target_may_be_deleted_and_reads_of_the_redirect_say_so(client: Client) -> None:
    old, new = new_event(client), new_event(client)
    client.commit(merge(old, new))
    client.commit(delete(new))
    with fails("RECORD_DELETED", "NOT_FOUND") as failure:
        client.get(old)
    assert failure.metadata["name"] == new


def test_an_undelete_brings_the_last_state_back(client: Client) -> None:
    name = new_event(client, types=["a:1"])
    before = client.get(name)
    client.commit(delete(name))
    done = client.commit(undelete(name))
    assert kinds(done) == ["UNDELETED"]
    after = client.get(name)
    assert (after.title, list(after.types), after.create_revision) == (before.title, ["a:1"], before.create_revision)
    assert after.revision == done.revision
    assert not after.HasField("delete_time")


def test_an_undelete_checks_references_again(client: Client) -> None:
    actor = new_actor(client)
    event = new_event(client, participants=[{"actor": actor}])
    client.commit(delete(event), delete(actor))
    with fails("REFERENCE_NOT_FOUND", "FAILED_PRECONDITION") as failure:
        client.commit(undelete(event))
    assert failure.subjects == [actor]
    assert kinds(client.commit(undelete(event), undelete(actor))) == ["UNDELETED", "UNDELETED"]


def test_an_undelete_checks_external_ids_again(client: Client) -> None:
    external_id = f"test:{unique()}"
    name = new_event(client, external_ids=[external_id])
    client.commit(delete(name))
    taker = new_event(client, external_ids=[external_id])
    with fails("EXTERNAL_ID_TAKEN", "ALREADY_EXISTS") as failure:
        client.commit(undelete(name))
    assert (failure.metadata["external_id"], failure.metadata["name"]) == (external_id, taker)


def test_an_undelete_needs_a_record(client: Client) -> None:
    with fails("RECORD_NOT_FOUND", "NOT_FOUND"):
        client.commit(undelete("events/never-there"))


# ------------------------------------------------------------------------------------------------ 9 merge, unmerge


def test_a_merge_makes_a_redirect_that_reads_follow(client: Client) -> None:
    one, two = f"test:{unique()}", f"test:{unique()}"
    old, new = new_actor(client, external_ids=[one]), new_actor(client, external_ids=[two])
    done = client.commit(merge(old, new))
    assert kinds(done) == ["MERGED"]
    assert done.results[0].name == new
    record = client.get(old)
    assert record.name == new
    assert record.merged_names == [old]
    assert sorted(record.external_ids) == sorted([one, two])
    batch = client.call("BatchGetRecords", names=[old])
    assert [item.actor.name for item in batch.records] == [new]
    with fails("RECORD_REDIRECTED", "NOT_FOUND") as failure:
        client.get(old, no_redirect=True)
    assert (failure.metadata["name"], failure.metadata["target"]) == (old, new)
    changes = {change.name: change for change in client.call("GetCommit", revision=done.revision).changes}
    assert rs.ChangeKind.Name(changes[old].kind) == "CHANGE_KIND_MERGED"
    assert changes[old].redirect_target == new
    assert rs.ChangeKind.Name(changes[new].kind) == "CHANGE_KIND_UPDATED"


def test_a_merge_rewrites_no_other_record_and_filters_follow_it(client: Client) -> None:
    old, new = new_actor(client), new_actor(client)
    event = new_event(client, participants=[{"actor": old}])
    before = client.get(event)
    client.commit(merge(old, new))
    assert client.get(event) == before
    assert client.names("events", f'participants.actor = "{new}"') == [event]
    assert client.names("events", f'participants.actor = "{old}"') == [event]


def test_before_the_merge_the_record_is_read_as_it_was(client: Client) -> None:
    old, new = new_actor(client), new_actor(client)
    before = client.get(old)
    done = client.commit(merge(old, new))
    assert client.get(old, as_of_revision=done.revision - 1) == before


def test_lists_never_hold_redirects(client: Client) -> None:
    label = f"test:{unique()}"
    old, new = new_actor(client, labels=[label]), new_actor(client, labels=[label])
    client.commit(merge(old, new))
    assert client.names("actors", f'labels:"{label}"') == [new]
    assert client.names("actors", f'labels:"{label}"', show_deleted=True) == [new]


def test_merging_into_a_redirect_merges_into_its_target(client: Client) -> None:
    a, b, c = (new_actor(client) for _ in range(3))
    client.commit(merge(b, c))
    done = client.commit(merge(a, b))
    assert done.results[0].name == c
    assert client.get(a).name == c
    assert sorted(client.get(c).merged_names) == sorted([a, b])


def test_redirects_are_followed_to_the_end(client: Client) -> None:
    a, b, c = (new_actor(client) for _ in range(3))
    client.commit(merge(a, b))
    client.commit(merge(b, c))
    assert client.get(a).name == c
    event = new_event(client, participants=[{"actor": a}])
    assert client.get(event).participants[0].actor == c


def test_a_merge_is_within_one_type_and_of_two_records(client: Client) -> None:
    actor, event = new_actor(client), new_event(client)
    for name, into in [(actor, event), (actor, actor)]:
        with fails("FIELD_INVALID") as failure:
            client.commit(merge(name, into))
        assert failure.paths[0].startswith("mutations[0].merge")


def test_a_merge_needs_two_live_records(client: Client) -> None:
    live, deleted = new_actor(client), new_actor(client)
    client.commit(delete(deleted))
    for name, into, reason in [
        ("actors/never-there", live, "RECORD_NOT_FOUND"),
        (live, "actors/never-there", "RECORD_NOT_FOUND"),
        (deleted, live, "RECORD_DELETED"),
        (live, deleted, "RECORD_DELETED"),
    ]:
        with fails(reason):
            client.commit(merge(name, into))


def test_the_history_of_a_redirect_is_its_own(client: Client) -> None:
    old, new = new_actor(client), new_actor(client)
    client.commit(merge(old, new))
    changes = client.history(old)
    assert [rs.ChangeKind.Name(change.kind) for change in changes] == ["CHANGE_KIND_MERGED", "CHANGE_KIND_CREATED"]
    assert {change.name for change in changes} == {old}


def test_a_live_not_same_as_vetoes_a_merge(client: Client) -> None:
    for one_way in (True, False):
        a, b = new_actor(client), new_actor(client)
        veto = client.create(relation=relation("NOT_SAME_AS", *((a, b) if one_way else (b, a))))
        with fails("MERGE_VETOED", "FAILED_PRECONDITION") as failure:
            client.commit(merge(a, b))
        assert failure.metadata["relation"] == veto
        # A revoked relation has no effect.
        client.commit(update(relation={"name": veto, "revoked": True}))
        client.commit(merge(a, b))
        assert client.get(a).name == b


def test_a_deleted_not_same_as_vetoes_nothing(client: Client) -> None:
    a, b = new_actor(client), new_actor(client)
    veto = client.create(relation=relation("NOT_SAME_AS", a, b))
    client.commit(delete(veto))
    client.commit(merge(a, b))


def test_if_into_revision_holds_or_the_merge_fails(client: Client) -> None:
    a, b = new_actor(client), new_actor(client)
    with fails("REVISION_MISMATCH") as failure:
        client.commit(merge(a, b, if_into_revision=client.get(b).revision + 1))
    assert failure.subjects == [b]
    client.commit(merge(a, b, if_revision=client.get(a).revision, if_into_revision=client.get(b).revision))


def test_an_unmerge_gives_back_the_name_and_the_ids_that_are_left(client: Client) -> None:
    kept, lost, own = (f"test:{unique()}" for _ in range(3))
    old = new_actor(client, external_ids=[kept, lost], description="old")
    new = new_actor(client, external_ids=[own])
    client.commit(merge(old, new))
    written_since = new_event(client, participants=[{"actor": old}])
    client.commit(update(["external_ids"], actor={"name": new, "external_ids": [own, kept]}))
    done = client.commit(unmerge(old))
    assert kinds(done) == ["UNMERGED"]
    back = client.get(old)
    assert (back.name, back.description) == (old, "old")
    assert back.external_ids == [kept]
    into = client.get(new)
    assert list(into.external_ids) == [own]
    assert list(into.merged_names) == []
    assert client.get(written_since).participants[0].actor == new


# ------------------------------------------------------------------------------------------------ 10 what the server computes


def test_names_revisions_and_times(client: Client) -> None:
    made = client.commit(create(event={"title": "A"}))
    name = made.results[0].name
    changed = client.commit(update(event={"name": name, "title": "B"}))
    record = client.get(name)
    assert (record.create_revision, record.revision) == (made.revision, changed.revision)
    assert (record.create_time, record.update_time) == (made.commit_time, changed.commit_time)


def test_the_digest_of_a_text(client: Client) -> None:
    text = "폭풍군단 and others.\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert client.get(client.create(source={"text": text})).sha256 == digest
    assert client.get(client.create(source={"text": text, "sha256": digest})).sha256 == digest
    with fails("FIELD_INVALID") as failure:
        client.create(source={"text": text, "sha256": "0" * 64})
    assert failure.paths == ["mutations[0].create.source.sha256"]
    # Without a text, the writer says which text it was.
    assert client.get(client.create(source={"sha256": "0" * 64})).sha256 == "0" * 64


@pytest.mark.parametrize(
    ("edtf", "earliest", "latest"),
    [
        ("2024-10-23", "2024-10-23T00:00:00Z", "2024-10-24T00:00:00Z"),
        ("2024-12", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2024", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2024-10-08/2024-10-13", "2024-10-08T00:00:00Z", "2024-10-14T00:00:00Z"),
        ("2023-12/2024", "2023-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2022-05~", "2022-05-01T00:00:00Z", "2022-06-01T00:00:00Z"),
        ("2022?", "2022-01-01T00:00:00Z", "2023-01-01T00:00:00Z"),
        ("2024-10-01/..", "2024-10-01T00:00:00Z", None),
        ("../2024-10-01", None, "2024-10-02T00:00:00Z"),
        ("0001", "0001-01-01T00:00:00Z", "0002-01-01T00:00:00Z"),
        ("9998-12-31", "9998-12-31T00:00:00Z", "9999-01-01T00:00:00Z"),
    ],
)
def test_the_bounds_of_a_date(client: Client, edtf: str, earliest: str | None, latest: str | None) -> None:
    # Bounds sent together with `edtf` are ignored.
    time = {"edtf": edtf, "earliest": "1999-01-01T00:00:00Z", "latest": "1999-01-02T00:00:00Z"}
    stored = plain(client.get(new_event(client, time=time)).time)
    assert (stored["edtf"], stored.get("earliest"), stored.get("latest")) == (edtf, earliest, latest)


def test_bounds_without_a_date_are_the_writers(client: Client) -> None:
    time = {"earliest": "2024-10-22T15:00:00Z", "latest": "2024-10-23T15:00:00Z"}
    assert plain(client.get(new_event(client, time=time)).time) == time


def test_the_series_of_an_estimand(client: Client) -> None:
    a, b = new_actor(client), new_actor(client)
    said = client.create(claim=claim(client.create(source={"title": "S"})))

    def series(unit: str = "1", **estimand: object) -> str:
        estimand = {"measure": "measure:troops", "subjects": [a, b], "series": "ignored"} | estimand
        name = client.create(estimate=estimate(said, estimand=estimand, quantity={"unit": unit, "best": 1}))
        return client.get(name).estimand.series

    base = series()
    assert base
    assert series(subjects=[b, a]) == base
    others = [
        series(measure="measure:killed"),
        series(subjects=[a]),
        series(population="population:military"),
        series(place="PRK"),
        series(unit="km"),
    ]
    assert len({base, *others}) == 6


def test_a_known_quantity_need_not_say_so(client: Client) -> None:
    said = client.create(claim=claim(client.create(source={"title": "S"})))
    name = client.create(estimate=estimate(said, best=0))
    assert plain(client.get(name).quantity) == {"unit": "1", "best": 0.0, "status": "VALUE_STATUS_KNOWN"}
