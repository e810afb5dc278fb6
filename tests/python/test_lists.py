"""Lists: pages, tokens, orders."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from annals_client import Client, create, delete, fails, unique, update
from conftest import Server


@pytest.fixture
def label(client: Client) -> str:
    """A label that thirty events carry."""
    label = f"test:{unique('list')}"
    client.commit(*[create(event={"title": f"Event {n:02}", "labels": [label], "metrics": {"n": n}}) for n in range(30)])
    return label


def tagged(label: str) -> str:
    """The filter for a label."""
    return f'labels:"{label}"'


# ------------------------------------------------------------------------------------------------ pages


def test_a_page_has_fifty_records_by_default(client: Client) -> None:
    label = f"test:{unique()}"
    client.commit(*[create(event={"title": "A", "labels": [label]}) for _ in range(60)])
    assert len(client.page("events", filter=tagged(label)).events) == 50
    assert len(client.page("events", filter=tagged(label), page_size=7).events) == 7


def test_a_page_size_over_the_limit_is_read_as_the_limit(fresh: Client) -> None:
    for _ in range(2):
        fresh.commit(*[create(actor={"display_name": "A"}) for _ in range(600)])
    pages = [len(page.actors) for page in fresh.pages("actors", page_size=100_000)]
    assert max(pages) <= 1000
    assert sum(pages) == 1200


def test_a_negative_page_size_is_refused(client: Client) -> None:
    with fails("FIELD_INVALID") as failure:
        client.page("events", page_size=-1)
    assert failure.paths == ["page_size"]


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 29, 30, 31])
def test_pages_of_any_size_add_up(client: Client, label: str, page_size: int) -> None:
    whole = client.list("events", tagged(label), page_size=1000)
    assert len(whole) == 30
    assert client.list("events", tagged(label), page_size=page_size) == whole


def test_pages_are_read_at_one_revision(client: Client, label: str) -> None:
    whole = client.list("events", tagged(label))
    revision = client.head()
    seen = []
    for page in client.pages("events", filter=tagged(label), page_size=4):
        assert page.revision == revision
        seen += page.events
        # Later writes are not in this list.
        client.create(event={"title": "New", "labels": [label]})
        client.commit(update(event={"name": whole[-1].name, "title": f"Changed {len(seen)}"}))
        client.commit(delete(whole[0].name, allow_missing=True))
    assert seen == whole


def test_the_token_is_empty_on_the_last_page_and_only_there(client: Client, label: str) -> None:
    tokens = [bool(page.next_page_token) for page in client.pages("events", filter=tagged(label), page_size=10)]
    assert tokens[-1] is False
    assert all(tokens[:-1])


def test_a_page_closes_before_the_response_grows_too_large(fresh: Client) -> None:
    for _ in range(3):
        fresh.commit(*[create(source={"text": "x" * 60_000}) for _ in range(40)])
    pages = list(fresh.pages("sources", page_size=1000))
    assert len(pages) > 1
    assert all(page.ByteSize() <= (4 << 20) - (64 << 10) for page in pages)
    assert sum(len(page.sources) for page in pages) == 120


def test_deleted_records_are_listed_on_request(client: Client) -> None:
    label = f"test:{unique()}"
    live = client.create(event={"title": "A", "labels": [label]})
    gone = client.create(event={"title": "B", "labels": [label]})
    client.commit(delete(gone))
    assert client.names("events", tagged(label)) == [live]
    shown = {event.name: event.HasField("delete_time") for event in client.list("events", tagged(label), show_deleted=True)}
    assert shown == {live: False, gone: True}


def test_a_list_as_of_a_revision(client: Client, label: str) -> None:
    revision = client.head()
    whole = client.list("events", tagged(label))
    client.commit(*[delete(event.name) for event in whole[:10]])
    assert client.list("events", tagged(label), as_of_revision=revision, page_size=7) == whole
    assert client.list("events", tagged(label)) == whole[10:]
    assert client.page("events", filter=tagged(label), as_of_revision=revision).revision == revision


# ------------------------------------------------------------------------------------------------ tokens


def test_page_size_may_change_between_pages(client: Client, label: str) -> None:
    first = client.page("events", filter=tagged(label), page_size=3)
    second = client.page("events", filter=tagged(label), page_size=1000, page_token=first.next_page_token)
    assert len(first.events) + len(second.events) == 30


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("filter", {"filter": ""}),
        ("order_by", {"order_by": "title"}),
        ("show_deleted", {"show_deleted": True}),
        ("as_of_revision", {"as_of_revision": 1}),
        ("as_of_time", {"as_of_time": "2024-01-01T00:00:00Z"}),
    ],
)
def test_a_token_is_for_the_same_arguments(client: Client, label: str, field: str, changed: dict[str, Any]) -> None:
    asked = {"filter": tagged(label), "page_size": 3}
    token = client.page("events", **asked).next_page_token
    with fails("PAGE_TOKEN_MISMATCH", "INVALID_ARGUMENT") as failure:
        client.page("events", **(asked | changed), page_token=token)
    assert failure.metadata["field"] == field


def test_a_token_is_for_the_same_method(client: Client, label: str) -> None:
    token = client.page("events", filter=tagged(label), page_size=3).next_page_token
    with fails("PAGE_TOKEN_MISMATCH"):
        client.page("actors", filter=tagged(label), page_token=token)


DAMAGE: dict[str, Callable[[str], str]] = {
    "garbage": lambda _: "garbage",
    "empty base64": lambda _: base64.urlsafe_b64encode(b"").decode() or "=",
    "cut": lambda token: token[: len(token) // 2],
    "longer": lambda token: token + "AAAA",
    "first changed": lambda token: ("B" if token[0] != "B" else "C") + token[1:],
    "middle changed": lambda token: token[:20] + ("B" if token[20] != "B" else "C") + token[21:],
    "not ASCII": lambda token: "é" + token,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_token_is_refused(client: Client, label: str, damage: str) -> None:
    asked = {"filter": tagged(label), "page_size": 3}
    token = client.page("events", **asked).next_page_token
    with fails("PAGE_TOKEN_INVALID", "INVALID_ARGUMENT"):
        client.page("events", **asked, page_token=DAMAGE[damage](token))


def test_a_token_is_used_as_often_as_one_likes(client: Client, label: str) -> None:
    asked = {"filter": tagged(label), "page_size": 3}
    token = client.page("events", **asked).next_page_token
    assert client.page("events", **asked, page_token=token) == client.page("events", **asked, page_token=token)


def test_a_token_survives_a_restart(durable: Server) -> None:
    durable.client.commit(*[create(event={"title": "A"}) for _ in range(10)])
    whole = durable.client.names("events")
    first = durable.client.page("events", page_size=4)
    durable.restart()
    durable.client.create(event={"title": "B"})
    second = durable.client.page("events", page_size=100, page_token=first.next_page_token)
    assert [event.name for event in [*first.events, *second.events]] == whole
    assert second.revision == first.revision


# ------------------------------------------------------------------------------------------------ orders


@pytest.fixture(scope="module")
def ordered(server: Server) -> str:
    """A label on events that differ in title, time and description, with ties and gaps."""
    label = f"test:{unique('order')}"
    events: list[dict[str, Any]] = [
        {"title": "b", "time": {"edtf": "2024-01-02"}, "description": "x"},
        {"title": "a", "time": {"edtf": "2024-01-02"}},
        {"title": "c", "time": {"edtf": "2024-01-01"}, "description": "x"},
        {"title": "B", "description": "y"},
        {"title": "é"},
    ]
    for number, event in enumerate(events):
        server.client.create(event=event | {"name": f"events/order-{number}", "labels": [label]})
    return label


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("", "01234"),
        ("name", "01234"),
        ("name desc", "43210"),
        # By bytes: capitals first, letters outside ASCII last.
        ("title", "31024"),
        ("title desc", "42013"),
        # Ties by name. Unset last in both directions.
        ("time.earliest", "20134"),
        ("time.earliest desc", "10243"),
        ("description, title", "02314"),
        ("description, title desc", "20341"),
        ("description desc, title", "30214"),
        ("description, time.earliest, title", "20314"),
    ],
)
def test_an_order(client: Client, ordered: str, order_by: str, expected: str) -> None:
    names = client.names("events", tagged(ordered), order_by=order_by, page_size=2)
    assert "".join(name.removeprefix("events/order-") for name in names) == expected


@pytest.mark.parametrize(
    "order_by",
    ["no_such_field", "types", "participants.actor", "title descending", "title,,name", "title; name", ",", "time",
     "title, description, name, revision"],
)  # fmt: skip
def test_an_order_that_cannot_be_is_refused(client: Client, order_by: str) -> None:
    with fails("ORDER_BY_INVALID", "INVALID_ARGUMENT"):
        client.page("events", order_by=order_by)
