"""Names, ids and references: which names a record may have, and how records refer to each other."""

from __future__ import annotations

import re

import pytest
from annals_client import Client, claim, create, delete, fails, kinds, merge, unique, update, upsert


def event(**more: object) -> dict:
    """The smallest valid event."""
    return {"title": "An event"} | more


@pytest.mark.parametrize("id_", ["a", "0", "a-b", "a--b", "x" * 63, "2024-10-23"])
def test_an_id_of_the_documented_form_is_accepted(client: Client, id_: str) -> None:
    # An actor, as other tests of this file use events.
    name = f"actors/{id_}"
    assert client.create(actor={"name": name, "display_name": "A"}) == name
    assert client.get(name).name == name


@pytest.mark.parametrize("id_", ["", "A", "-a", "a-", "x" * 64, "a_b", "a.b", "é", "a/b", "a b", "@a"])
def test_an_id_of_another_form_is_refused(client: Client, id_: str) -> None:
    with fails("FIELD_INVALID") as failure:
        client.create(event=event(name=f"events/{id_}"))
    assert failure.paths == ["mutations[0].create.event.name"]


def test_a_name_of_another_collection_is_refused(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.create(event=event(name=f"actors/{unique()}"))
    assert failure.paths == ["mutations[0].create.event.name"]


def test_a_name_not_sent_is_a_lower_case_ulid_ordered_by_time(client: Client) -> None:
    names = [client.create(event=event()) for _ in range(5)]
    many = client.commit(*[create(event=event()) for _ in range(5)])
    names += [result.name for result in many.results]
    assert all(re.fullmatch(r"events/[0-9a-hjkmnp-tv-z]{26}", name) for name in names)
    assert len(set(names)) == 10
    assert names[:5] == sorted(names[:5])


def test_a_name_always_means_the_same_record(client: Client) -> None:
    name = client.create(event=event(name=f"events/{unique()}"))
    with fails("NAME_TAKEN", "ALREADY_EXISTS") as failure:
        client.create(event=event(name=name))
    assert failure.metadata["name"] == name
    assert failure.metadata["deleted"] == "false"
    client.commit(delete(name))
    with fails("NAME_TAKEN") as failure:
        client.create(event=event(name=name))
    assert failure.metadata["deleted"] == "true"


def test_the_name_of_a_merged_record_is_not_reused(client: Client) -> None:
    old, new = client.create(event=event()), client.create(event=event())
    client.commit(merge(old, new))
    with fails("NAME_TAKEN"):
        client.create(event=event(name=old))


@pytest.mark.parametrize(
    "external_id",
    ["ucdp.ged:212545", "a:b:c", "x_y-z.0:!~", "s" * 32 + ":v", "limits:" + "v" * 256],
)
def test_an_external_id_of_the_documented_form_is_accepted(client: Client, external_id: str) -> None:
    name = client.create(event=event(external_ids=[external_id]))
    assert client.get(name).external_ids == [external_id]


@pytest.mark.parametrize(
    "external_id",
    ["none", ":x", "x:", "X:a", "x:a b", "x:é", "x:\t", "x:" + "v" * 257, "s" * 33 + ":v", ".x:a", "-x:a", "_x:a", " x:a"],
)
def test_an_external_id_of_another_form_is_refused(client: Client, external_id: str) -> None:
    with fails("FIELD_INVALID") as failure:
        client.create(event=event(external_ids=[external_id]))
    assert failure.paths == ["mutations[0].create.event.external_ids[0]"]


def test_external_ids_are_unique_among_live_records_of_a_type(client: Client) -> None:
    external_id = f"test:{unique()}"
    holder = client.create(event=event(external_ids=[external_id]))
    with fails("EXTERNAL_ID_TAKEN", "ALREADY_EXISTS") as failure:
        client.create(event=event(external_ids=[external_id]))
    assert failure.metadata["external_id"] == external_id
    assert failure.metadata["name"] == holder
    # Another type has its own ids, and a deleted record has none.
    client.create(actor={"display_name": "A", "external_ids": [external_id]})
    client.commit(delete(holder))
    client.create(event=event(external_ids=[external_id]))


@pytest.mark.parametrize("code", ["acled.sub_event:Armed clash", "names:폭풍군단", "cameo:0141", "a:b:c"])
def test_a_code_may_have_inner_spaces_and_any_script(client: Client, code: str) -> None:
    name = client.create(event=event(types=[code], labels=[code]))
    assert client.get(name).types == [code]
    assert client.get(name).labels == [code]


@pytest.mark.parametrize("code", ["none", "X:a", ":a", "a:", "a: b", "a:b ", "s" * 33 + ":a"])
def test_a_code_of_another_form_is_refused(client: Client, code: str) -> None:
    with fails("FIELD_INVALID") as failure:
        client.create(event=event(types=[code], labels=[code]))
    assert sorted(failure.paths) == ["mutations[0].create.event.labels[0]", "mutations[0].create.event.types[0]"]


def test_labels_refer_forward_and_backward_and_are_stored_as_names(client: Client) -> None:
    done = client.commit(
        create(claim=claim("@source", attribution=[{"actors": ["@speaker"]}], about=["@event"])),
        create("event", event=event()),
        create("source", source={"title": "S"}),
        create("speaker", actor={"display_name": "A"}),
        create(claim=claim("@source", about=["@event"])),
    )
    claim_name, event_name, source, speaker, second = [result.name for result in done.results]
    stored = client.get(claim_name)
    assert stored.citations[0].source == source
    assert stored.attribution[0].actors == [speaker]
    assert stored.about == [event_name]
    assert client.get(second).citations[0].source == source


def test_a_label_names_what_an_upsert_found_and_what_an_update_changed(client: Client) -> None:
    external_id = f"test:{unique()}"
    found = client.create(actor={"display_name": "A", "external_ids": [external_id]})
    changed = client.create(actor={"display_name": "B"})
    done = client.commit(
        upsert(label="found", actor={"display_name": "A", "external_ids": [external_id]}),
        update(label="changed", actor={"name": changed, "display_name": "C"}),
        create(event=event(participants=[{"actor": "@found"}, {"actor": "@changed"}])),
    )
    assert kinds(done) == ["UNCHANGED", "UPDATED", "CREATED"]
    participants = client.get(done.results[2].name).participants
    assert [participant.actor for participant in participants] == [found, changed]


def test_an_unknown_label_is_refused(client: Client) -> None:
    with fails("LABEL_UNKNOWN", "INVALID_ARGUMENT") as failure:
        client.commit(create("a", actor={"display_name": "A"}), create(event=event(participants=[{"actor": "@b"}])))
    assert failure.metadata["label"] in ("b", "@b")
    assert failure.metadata["field"] == "mutations[1].create.event.participants[0].actor"


def test_a_label_is_given_once(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(create("a", event=event()), create("a", event=event()))
    assert failure.paths == ["mutations[1].label"]


@pytest.mark.parametrize("label", ["A", "a_b", "@a", "x" * 64, "a b"])
def test_a_label_of_another_form_is_refused(client: Client, label: str) -> None:
    with fails("FIELD_INVALID") as failure:
        client.commit(create(label, event=event()))
    assert failure.paths == ["mutations[0].label"]


def test_a_reference_must_exist_be_live_and_of_the_right_type(client: Client) -> None:
    deleted = client.create(actor={"display_name": "A"})
    client.commit(delete(deleted))
    other = client.create(event=event())
    absent = f"actors/{unique()}"
    with fails("REFERENCE_NOT_FOUND", "FAILED_PRECONDITION") as failure:
        client.create(event=event(participants=[{"actor": deleted}, {"actor": other}, {"actor": absent}]))
    assert failure.subjects == [deleted, other, absent]
    assert failure.metadata["field"] == "mutations[0].create.event.participants[0].actor"
    assert failure.metadata["name"] == deleted


def test_a_reference_is_stored_as_the_canonical_name(client: Client) -> None:
    old = client.create(actor={"display_name": "Old"})
    new = client.create(actor={"display_name": "New"})
    before = client.create(event=event(participants=[{"actor": old}]))
    client.commit(merge(old, new))
    after = client.create(event=event(participants=[{"actor": old}]))
    # A new reference is never stored as a redirect. Older references stay unchanged.
    assert client.get(after).participants[0].actor == new
    assert client.get(before).participants[0].actor == old


def test_an_update_keeps_the_name_that_is_stored(client: Client) -> None:
    old = client.create(actor={"display_name": "Old"})
    new = client.create(actor={"display_name": "New"})
    other = client.create(actor={"display_name": "Other"})
    name = client.create(event=event(participants=[{"actor": old}]))
    client.commit(merge(old, new))
    client.commit(update(event={"name": name, "title": "Another title"}))
    assert client.get(name).participants[0].actor == old
    for sent in (old, new):
        assert kinds(client.commit(update(event={"name": name, "participants": [{"actor": sent}]}))) == ["UNCHANGED"]
    # A new reference is stored under the name that the record has now.
    client.commit(update(event={"name": name, "participants": [{"actor": other}]}))
    client.commit(update(event={"name": name, "participants": [{"actor": old}]}))
    assert client.get(name).participants[0].actor == new
