"""Limits: each of GetServerInfo.limits, accepted at its value and refused just above it."""

from __future__ import annotations

import unicodedata

import grpc
import pytest
from annals_client import Client, Failure, claim, create, delete, estimate, fails, merge, unique, update

KIB = 1024


def exceeded(client: Client, limit: str, maximum: int, *mutations: object, **more: object) -> None:
    """Expects a commit to exceed a limit, and nothing else."""
    with fails("LIMIT_EXCEEDED", "INVALID_ARGUMENT") as failure:
        client.commit(*mutations, **more)  # type: ignore[arg-type]
    assert failure.metadata["limit"] == limit
    assert failure.metadata["maximum"] == str(maximum)
    assert int(failure.metadata["actual"]) > maximum


def test_request_bytes(client: Client) -> None:
    text = "x" * 60_000
    exceeded(client, "request.bytes", 4096 * KIB, *[create(source={"text": text}) for _ in range(75)])


def test_record_bytes(client: Client) -> None:
    notes = {f"key{n}": "x" * 8192 for n in range(31)}
    client.create(event={"title": "A", "annotations": notes})
    description = "x" * (64 * KIB)
    exceeded(client, "record.bytes", 256 * KIB, create(event={"title": "A", "annotations": notes, "description": description}))


def test_commit_mutations(client: Client) -> None:
    client.commit(*[create(event={"title": "A"}) for _ in range(1000)])
    exceeded(client, "commit.mutations", 1000, *[create(event={"title": "A"}) for _ in range(1001)])


def test_commit_preconditions(client: Client) -> None:
    def absent(count: int) -> list[dict]:
        return [{"name": f"events/never-{n}", "exists": False} for n in range(count)]

    client.commit(create(event={"title": "A"}), preconditions=absent(100))
    exceeded(client, "commit.preconditions", 100, create(event={"title": "A"}), preconditions=absent(101))


def test_commit_bytes(client: Client) -> None:
    text = "x" * 60_000
    exceeded(client, "commit.bytes", 3072 * KIB, *[create(source={"text": text}) for _ in range(60)])
    # A record that a small request deletes counts too, because the commit holds its last state.
    names = []
    for _ in range(2):
        done = client.commit(*[create(source={"text": text}) for _ in range(40)])
        names += [result.name for result in done.results]
    exceeded(client, "commit.bytes", 3072 * KIB, *[delete(name) for name in names])
    client.commit(*[delete(name) for name in names[:40]])


@pytest.mark.parametrize(("field", "count", "value"), [("annotations", 32, "x"), ("metrics", 64, 1.0)])
def test_entries_of_maps(client: Client, field: str, count: int, value: object) -> None:
    def entries(count: int) -> dict:
        return {"title": "A", field: {f"key{n}": value for n in range(count)}}

    client.create(event=entries(count))
    with fails("LIMIT_EXCEEDED") as failure:
        client.create(event=entries(count + 1))
    assert failure.metadata["limit"].startswith(field)
    assert (failure.metadata["maximum"], failure.metadata["actual"]) == (str(count), str(count + 1))


def test_keys_and_values_of_maps(client: Client) -> None:
    client.create(event={"title": "A", "annotations": {"k" * 63: "x" * 8192, "a.b_c/d-0": ""}})
    with fails("LIMIT_EXCEEDED"):
        client.create(event={"title": "A", "annotations": {"k": "x" * 8193}})
    for key in ["k" * 64, "", "K", "a b", "é"]:
        for field, value in [("annotations", "x"), ("metrics", 1.0)]:
            with pytest.raises(grpc.RpcError) as raised:
                client.create(event={"title": "A", field: {key: value}})
            assert Failure.of(raised.value).reason in ("LIMIT_EXCEEDED", "FIELD_INVALID")


def test_annotations_of_a_commit(client: Client) -> None:
    client.commit(create(event={"title": "A"}), annotations={f"key{n}": "x" for n in range(32)})
    with fails("LIMIT_EXCEEDED"):
        client.commit(create(event={"title": "A"}), annotations={f"key{n}": "x" for n in range(33)})


@pytest.mark.parametrize(
    ("field", "limit", "count"), [("external_ids", "external_ids.count", 256), ("labels", "labels.count", 64)]
)
def test_ids_and_labels(client: Client, field: str, limit: str, count: int) -> None:
    def event(count: int) -> dict:
        base = unique()
        return {"title": "A", field: [f"test:{base}-{n}" for n in range(count)]}

    client.create(event=event(count))
    exceeded(client, f"{field}.count", count, create(event=event(count + 1)))


def test_a_merge_past_the_count_of_ids(client: Client) -> None:
    one, two = (
        client.create(event={"title": "A", "external_ids": [f"test:{unique()}" for _ in range(count)]}) for count in (200, 57)
    )
    exceeded(client, "external_ids.count", 256, merge(two, one))


def test_references(client: Client) -> None:
    source = client.create(source={"title": "S"})
    done = client.commit(*[create(event={"title": "A"}) for _ in range(500)])
    events = [result.name for result in done.results]
    # The citation's source is a reference too.
    client.create(claim=claim(source, about=events[:499]))
    exceeded(client, "references.count", 500, create(claim=claim(source, about=events)))


# ------------------------------------------------------------------------------------------------ strings


@pytest.mark.parametrize("text", ["a\u0000b", "a\u0007b", "a\u001fb", "a\u007fb"])
def test_control_characters_are_refused(client: Client, text: str) -> None:
    with fails("FIELD_INVALID") as failure:
        client.create(event={"title": text, "description": text})
    assert failure.paths == ["mutations[0].create.event.title", "mutations[0].create.event.description"]


def test_nothing_is_trimmed_normalised_or_re_encoded(client: Client) -> None:
    text = " \té e\u0301 \u00a0 \u202e 폭풍군단 \U0001f600 \r\n"
    record = client.get(client.create(event={"title": text, "description": text, "annotations": {"a": text}}))
    assert (record.title, record.description, record.annotations["a"]) == (text, text, text)


def test_names_of_actors_are_nfc(client: Client) -> None:
    composed = "Éva Köhler 폭풍군단"
    decomposed = unicodedata.normalize("NFD", composed)
    client.create(actor={"display_name": composed, "names": [{"text": composed}]})
    with fails("FIELD_INVALID") as failure:
        client.create(actor={"display_name": decomposed, "names": [{"text": decomposed}]})
    assert failure.paths == ["mutations[0].create.actor.display_name", "mutations[0].create.actor.names[0].text"]


@pytest.mark.parametrize(("size", "fine"), [(1, True), (512, True), (513, False), (0, False)])
def test_a_title_counts_characters(client: Client, size: int, fine: bool) -> None:
    if fine:
        client.create(event={"title": "폭" * size})
    else:
        with fails("FIELD_INVALID") as failure:
            client.create(event={"title": "폭" * size})
        assert failure.paths == ["mutations[0].create.event.title"]


@pytest.mark.parametrize(("size", "fine"), [(4096, True), (4097, False), (0, False)])
def test_a_statement_counts_characters(client: Client, size: int, fine: bool) -> None:
    source = client.create(source={"title": "S"})
    if fine:
        client.create(claim=claim(source, "폭" * size))
    else:
        with fails("FIELD_INVALID") as failure:
            client.create(claim=claim(source, "폭" * size))
        assert failure.paths == ["mutations[0].create.claim.statement"]


def test_a_text_is_64_kib_at_most(client: Client) -> None:
    client.create(source={"text": "x" * (64 * KIB)})
    with fails("FIELD_INVALID") as failure:
        client.create(source={"text": "x" * (64 * KIB + 1)})
    assert failure.paths == ["mutations[0].create.source.text"]


def test_an_id_and_a_label_are_as_long_as_the_server_says(client: Client) -> None:
    longest = client.call("GetServerInfo").limits["id.chars"]
    id_ = unique().ljust(longest, "x")
    assert client.create(event={"title": "A", "name": f"events/{id_}"}) == f"events/{id_}"
    client.commit(create(event={"title": "A"}, label=id_))
    with fails("FIELD_INVALID") as failure:
        client.commit(create(event={"title": "A", "name": f"events/{id_}x"}), create(event={"title": "A"}, label=f"{id_}x"))
    assert sorted(failure.paths) == ["mutations[0].create.event.name", "mutations[1].label"]
    assert all(f"1-{longest} of" in description for _, description in failure.violations)


def test_a_scheme_is_as_long_as_the_server_says(client: Client) -> None:
    longest = client.call("GetServerInfo").limits["scheme.chars"]
    scheme = "s" * longest
    client.create(event={"title": "A", "external_ids": [f"{scheme}:{unique()}"], "labels": [f"{scheme}:a"]})
    with fails("FIELD_INVALID") as failure:
        client.create(event={"title": "A", "external_ids": [f"{scheme}s:{unique()}"], "labels": [f"{scheme}s:a"]})
    assert len(failure.paths) == 2
    assert all(f"The scheme is 1-{longest} of" in description for _, description in failure.violations)


def test_a_request_id_is_as_long_as_the_server_says(client: Client) -> None:
    longest = client.call("GetServerInfo").limits["request_id.chars"]
    request_id = unique().ljust(longest, "x")
    client.commit(create(event={"title": "A"}), request_id=request_id)
    with fails("FIELD_INVALID") as failure:
        client.commit(create(event={"title": "A"}), request_id=f"{request_id}x")
    assert f"1-{longest} of" in failure.violations[0][1]


def test_numbers_are_finite(client: Client) -> None:
    source = client.create(source={"title": "S"})
    said = client.create(claim=claim(source))
    for value in ["NaN", "Infinity", "-Infinity"]:
        with fails("FIELD_INVALID") as failure:
            client.create(estimate=estimate(said, quantity={"unit": "km", "best": value}))
        assert failure.paths == ["mutations[0].create.estimate.quantity.best"]
        with fails("FIELD_INVALID"):
            client.create(event={"title": "A", "metrics": {"x": value}})


# ------------------------------------------------------------------------------------------------ reading


def read_exceeded(client: Client, limit: str, maximum: int, method: str, **request: object) -> None:
    """Expects a read to exceed a limit."""
    with fails("LIMIT_EXCEEDED", "INVALID_ARGUMENT") as failure:
        client.call(method, **request)
    assert (failure.metadata["limit"], failure.metadata["maximum"]) == (limit, str(maximum))
    assert int(failure.metadata["actual"]) > maximum


def test_filter_chars(client: Client) -> None:
    client.page("events", filter=('title = "a"' + " " * 4096)[:4096])
    read_exceeded(client, "filter.chars", 4096, "ListEvents", filter=('title = "a"' + " " * 4096)[:4097])


def test_filter_terms(client: Client) -> None:
    client.page("events", filter=" OR ".join(['title = "a"'] * 64))
    read_exceeded(client, "filter.terms", 64, "ListEvents", filter=" OR ".join(['title = "a"'] * 65))


def test_filter_depth(client: Client) -> None:
    client.page("events", filter="(" * 10 + 'title = "a"' + ")" * 10)
    read_exceeded(client, "filter.depth", 16, "ListEvents", filter="(" * 40 + 'title = "a"' + ")" * 40)
    # A filter that is far too deep gets the same answer and does not overflow the stack.
    read_exceeded(client, "filter.depth", 16, "ListEvents", filter="(" * 2000 + 'title = "a"' + ")" * 2000)


def test_fields_of_an_order(client: Client) -> None:
    most = client.call("GetServerInfo").limits["order_by.fields"]
    fields = ["title", "description", "revision", "time.earliest"]
    client.page("events", order_by=", ".join(fields[:most]))
    with fails("ORDER_BY_INVALID") as failure:
        client.page("events", order_by=", ".join(fields[: most + 1]))
    assert failure.metadata["expected"] == f"at most {most} fields"


def test_batch_names(client: Client) -> None:
    names = [f"events/never-{n}" for n in range(1001)]
    assert len(client.call("BatchGetRecords", names=names[:1000], allow_missing=True).missing) == 1000
    read_exceeded(client, "batch_get.names", 1000, "BatchGetRecords", names=names, allow_missing=True)


def test_an_update_that_grows_a_record_past_its_limit(client: Client) -> None:
    name = client.create(event={"title": "A", "annotations": {f"key{n}": "x" * 8192 for n in range(31)}})
    exceeded(client, "record.bytes", 256 * KIB, update(event={"name": name, "description": "x" * (64 * KIB)}))
