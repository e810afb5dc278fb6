"""Filters that go on into other records: through references, back to referrers, and by computed fields."""

from __future__ import annotations

import pytest
from annals.v1 import record_service_pb2 as rs
from annals_client import Client, claim, create, delete, estimate, fails, merge, relation, undelete, unmerge
from conftest import Server

ESTIMATES = "RECORD_TYPE_ESTIMATE"
ORIGIN = "ATTRIBUTION_ROLE_ORIGIN"


def said_by(*actors: str) -> list[dict]:
    """An attribution: the first actor is the origin, the others pass it on."""
    origin, *relays = [[f"actors/{actor}"] for actor in actors]
    return [{"actors": origin, "role": ORIGIN}, *[{"actors": actor} for actor in relays]]


@pytest.fixture(scope="module")
def record(start_server: object) -> Client:
    """A server with these records and no others. "actors/old" is merged into "actors/nk"; "claims/gone" is deleted."""
    server: Server = start_server()  # type: ignore[operator]
    client = server.client
    actors = {
        "nis": {"display_name": "National Intelligence Service", "countries": ["KOR"]},
        "nk": {"display_name": "North Korea", "countries": ["PRK"]},
        "old": {"display_name": "DPRK"},
        "yonhap": {"display_name": "Yonhap", "affiliations": [{"actor": "actors/nis"}]},
    }
    client.commit(
        *[create(actor=body | {"name": f"actors/{id_}"}) for id_, body in actors.items()],
        create(source={"name": "sources/y", "title": "Y", "publisher": "actors/yonhap"}),
        create(source={"name": "sources/o", "title": "O", "publisher": "actors/old"}),
        create(event={"name": "events/sent", "title": "Troops sent", "participants": [{"actor": "actors/nk"}]}),
        create(event={"name": "events/trained", "title": "Training", "participants": [{"actor": "actors/old"}]}),
        create(event={"name": "events/talks", "title": "Talks", "participants": [{"actor": "actors/nis"}]}),
        create(event={"name": "events/empty", "title": "Nobody"}),
        create(claim=claim("sources/y", name="claims/sent", attribution=said_by("nis", "yonhap"), about=["events/sent"])),
        create(
            claim=claim(
                "sources/o",
                name="claims/denied",
                polarity="POLARITY_NEGATED",
                attribution=said_by("old"),
                about=["events/sent"],
            )
        ),
        create(
            claim=claim(
                "sources/y", name="claims/gone", polarity="POLARITY_NEGATED", attribution=said_by("nis"), about=["events/talks"]
            )
        ),
        create(estimate=estimate("claims/sent", name="estimates/3000", best=3000)),
        create(estimate=estimate("claims/denied", name="estimates/0", best=0)),
        create(
            estimate=estimate("", name="estimates/7", best=7, origin="ESTIMATE_ORIGIN_CODED", attribution=said_by("yonhap"))
            | {"citations": [{"source": "sources/y"}]}
        ),
        create(estimate=estimate("claims/denied", name="estimates/own", best=5, attribution=said_by("nis"))),
        create(relation=relation("CONTRADICTS", "claims/denied", "claims/sent", name="relations/r")),
    )
    client.commit(merge("actors/old", "actors/nk"))
    client.commit(delete("claims/gone"))
    return client


# collection, filter, ids that match
CASES = [
    # Into the record that a reference leads to, one reference far and two.
    ("estimates", 'claim.attribution.actors = "actors/nis"', "3000"),
    ("estimates", "claim.polarity = NEGATED", "0 own"),
    ("events", 'participants.actor.countries = "PRK"', "sent trained"),
    ("claims", 'citations.source.publisher = "actors/yonhap"', "sent"),
    ("claims", 'citations.source.publisher.display_name = "Yonhap"', "sent"),
    ("estimates", 'claim.citations.source.publisher = "actors/yonhap"', "3000"),
    ("estimates", 'claim.about.title = "*sent"', "0 3000 own"),
    # Names lead where they lead after a merge.
    ("claims", 'citations.source.publisher = "actors/old"', "denied"),
    ("estimates", 'claim.attribution.actors = "actors/nk"', "0 own"),
    ("estimates", 'claim.attribution.actors = "actors/old"', "0 own"),
    ("events", 'participants.actor.display_name = "DPRK"', ""),
    # One record satisfies the whole expression in parentheses, or several do together.
    ("estimates", 'claim:(polarity = NEGATED AND attribution.actors = "actors/nk")', "0 own"),
    ("estimates", 'claim:(polarity = NEGATED AND attribution.actors = "actors/nis")', ""),
    ("estimates", 'claim.attribution:(role = ORIGIN AND actors = "actors/yonhap")', ""),
    ("estimates", 'claim.attribution.actors:(display_name = "Yonhap")', "3000"),
    ("events", 'participants:(actor.countries = "KOR" AND actor.display_name = "Nat*")', "talks"),
    # Every operator means "any"; what leads nowhere is unset.
    ("claims", 'attribution.actors.countries != "KOR"', "denied"),
    ("claims", 'NOT attribution.actors.countries = "KOR"', "denied"),
    ("events", 'participants.actor.countries != "PRK"', "talks"),
    ("events", 'NOT participants.actor.countries = "PRK"', "empty talks"),
    ("events", "participants.actor.countries:*", "sent talks trained"),
    ("estimates", "claim.statement:*", "0 3000 own"),
    ("estimates", "NOT claim.statement:*", "7"),
    # Any type: a comparison is false in the types that do not have the field.
    ("relations", "subject.polarity = NEGATED", "r"),
    ("relations", 'object:(polarity = AFFIRMED OR title = "x")', "r"),
    ("claims", 'about.title = "Troops sent"', "denied sent"),
    # Back to what refers to the record.
    ("events", "referrers.claims.polarity = NEGATED", "sent"),
    ("events", "referrers.claims:(polarity = NEGATED)", "sent"),
    ("events", 'referrers."claims.about":(polarity = AFFIRMED)', "sent"),
    ("events", "referrers:*", "sent"),
    ("events", "NOT referrers:*", "empty talks trained"),
    ("events", "NOT referrers.claims.polarity = NEGATED", "empty talks trained"),
    ("claims", "referrers.estimates.quantity.best > 1000", "sent"),
    ("claims", "referrers.relations.kind = CONTRADICTS", "denied sent"),
    ("claims", 'referrers."relations.object":(kind = CONTRADICTS)', "sent"),
    ("actors", "referrers.events:*", "nis nk"),
    ("actors", 'referrers.events.title = "Training"', "nk"),
    ("sources", "referrers.claims.polarity = NEGATED", "o"),
    ("events", 'referrers.claims.attribution.actors = "actors/nis"', "sent"),
    ("events", "referrers.claims.referrers.estimates.quantity.best = 0", "sent"),
    ("events", 'referrers:(create_time > "2000-01-01")', "sent"),
    # Who said a number: its own attribution, or that of its claim.
    ("estimates", 'speakers = "actors/nis"', "3000 own"),
    ("estimates", 'speakers = "actors/old"', "0 own"),
    ("estimates", 'speakers.countries = "KOR"', "3000 own"),
    ("estimates", 'NOT speakers = "actors/nis"', "0 7"),
    ("claims", 'speakers = "actors/yonhap"', "sent"),
    ("claims", 'speakers.display_name = "North*"', "denied"),
]


@pytest.mark.parametrize(("collection", "filter_", "expected"), CASES)
def test_a_filter_through_references_finds(record: Client, collection: str, filter_: str, expected: str) -> None:
    assert " ".join(name.split("/")[1] for name in record.names(collection, filter_)) == expected
    assert " ".join(name.split("/")[1] for name in record.names(collection, filter_, page_size=1)) == expected


# collection, filter, what the error expects
REFUSED = [
    ("estimates", 'claim.about.attribution.actors.countries = "KOR"', "at most 2 references"),
    ("events", "referrers.claims.referrers.estimates.referrers:*", "at most 2 references"),
    ("estimates", 'speakers.affiliations.actor.countries = "KOR"', "at most 2 references"),
    ("estimates", 'claim.no_such_field = "x"', "attribution"),
    ("relations", 'subject.no_such_field = "x"', "polarity"),
    ("events", "referrers.books:*", "claims"),
    ("events", 'referrers."claims.citations.source":*', "claims.about"),
    ("events", 'referrers = "claims/sent"', "referrers.claims.kind"),
    ("events", 'speakers = "actors/nis"', "title"),
    ("events", 'claim.statement = "x"', "referrers"),
    ("sources", "referrers.actors.polarity = NEGATED", "display_name"),
]


@pytest.mark.parametrize(("collection", "filter_", "expected"), REFUSED)
def test_a_filter_through_references_is_refused(record: Client, collection: str, filter_: str, expected: str) -> None:
    with fails("FILTER_INVALID", "INVALID_ARGUMENT") as failure:
        record.page(collection, filter=filter_)
    assert 0 <= int(failure.metadata["position"]) < len(filter_)
    # The message has room for a longer list of fields than the metadata.
    assert expected in failure.message


def test_every_record_is_read_as_it_was(fresh: Client) -> None:
    fresh.commit(
        create(actor={"name": "actors/a", "display_name": "A"}),
        create(actor={"name": "actors/b", "display_name": "B"}),
        create(source={"name": "sources/s", "title": "S"}),
        create(claim=claim("sources/s", name="claims/c", attribution=said_by("a"))),
        create(estimate=estimate("claims/c", name="estimates/e")),
    )
    by_a, by_b = 'claim.attribution.actors = "actors/a"', 'speakers.display_name = "B"'
    found = ["estimates/e"]
    fresh.commit(merge("actors/a", "actors/b"))
    assert (fresh.names("estimates", by_a), fresh.names("estimates", by_b)) == (found, found)
    assert (fresh.names("estimates", by_a, as_of_revision=1), fresh.names("estimates", by_b, as_of_revision=1)) == (found, [])
    fresh.commit(unmerge("actors/a"))
    assert (fresh.names("estimates", by_a), fresh.names("estimates", by_b)) == (found, [])
    fresh.commit(delete("estimates/e"), delete("claims/c"))
    assert (fresh.names("estimates", by_a), fresh.names("estimates", by_a, as_of_revision=2)) == ([], found)
    # A deleted record leads nowhere, and neither does a name that leads to one.
    assert fresh.names("estimates", by_a, show_deleted=True) == []
    fresh.commit(undelete("claims/c"), undelete("estimates/e"))
    assert (fresh.names("estimates", by_a), fresh.names("estimates", by_b)) == (found, [])
    # A claim that is merged into another: its numbers are those of the claim that it is now.
    fresh.commit(create(claim=claim("sources/s", name="claims/d", attribution=said_by("b"))))
    fresh.commit(merge("claims/c", "claims/d"))
    assert (fresh.names("estimates", by_a), fresh.names("estimates", by_b)) == ([], found)


def test_an_export_takes_such_a_filter_and_a_watch_says_that_it_cannot(record: Client) -> None:
    filter_ = 'speakers = "actors/nis"'
    exported = record.stub.Export(rs.ExportRequest(types=[ESTIMATES], filter=filter_), timeout=60)
    names = [one.estimate.name for chunk in exported for one in chunk.records]
    assert names == ["estimates/3000", "estimates/own"]
    with fails("FILTER_INVALID", "INVALID_ARGUMENT") as failure:
        list(record.stub.Watch(rs.WatchRequest(types=[ESTIMATES], filter='claim.topic = "x"'), timeout=60))
    assert "reads no other records" in failure.metadata["expected"]
    with fails("FILTER_INVALID", "INVALID_ARGUMENT"):
        list(record.stub.Watch(rs.WatchRequest(types=[ESTIMATES], filter=filter_), timeout=60))
