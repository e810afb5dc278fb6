"""Filters: what each form means, and what is refused. One small record, many one-line cases."""

from __future__ import annotations

import pytest
from annals_client import Client, claim, create, estimate, fails, merge, relation
from conftest import Server

EVENTS = {
    "e1": {
        "title": "Troops sent to Russia",
        "types": ["cameo:190", "plover:MOBILIZE"],
        "actuality": "ACTUALITY_OCCURRED",
        "time": {"edtf": "2024-10-08/2024-10-13", "verbatim": "from 8 to 13 October"},
        "places": [{"country": "RUS", "latitude": 51.7, "longitude": 36.2}, {"country": "PRK"}],
        "participants": [
            {"actor": "actors/nk", "role": "PARTICIPANT_ROLE_INITIATOR", "side": "a"},
            {"actor": "actors/nis", "role": "PARTICIPANT_ROLE_RECIPIENT", "side": "b"},
        ],
        "metrics": {"gdelt.goldstein": -10, "n": 0},
        "labels": ["tlp:green"],
    },
    "e2": {
        "title": "Training in Kursk",
        "time": {"edtf": "2024-10-23"},
        "places": [{"display_name": "Kursk", "country": "RUS"}],
        "participants": [{"actor": "actors/old", "role": "PARTICIPANT_ROLE_RECIPIENT"}],
        "metrics": {"gdelt.goldstein": 3.4},
    },
    "e3": {
        "title": "Talks",
        "actuality": "ACTUALITY_PLANNED",
        "time": {"edtf": "2024-12"},
        "annotations": {"note": "a*b", "path.key": "x"},
    },
    "e4": {"title": 'He said "no"', "description": "back\\slash", "annotations": {"note": "aXb"}},
}

ACTORS = {
    "nis": {
        "display_name": "National Intelligence Service",
        "kind": "ACTOR_KIND_ORGANIZATION",
        "names": [{"text": "NIS", "kind": "ACTOR_NAME_KIND_ACRONYM"}, {"text": "국정원", "language": "ko"}],
        "countries": ["KOR"],
    },
    "nk": {"display_name": "North Korea", "kind": "ACTOR_KIND_STATE", "countries": ["PRK"], "external_ids": ["wikidata:Q423"]},
    "old": {"display_name": "DPRK"},
    "men": {"display_name": "Russian instructors", "unnamed": True},
}


@pytest.fixture(scope="module")
def record(start_server: object) -> Client:
    """A server with these records and no others; "actors/old" is merged into "actors/nk" at the end."""
    server: Server = start_server()  # type: ignore[operator]
    hops = [{"actors": ["actors/nis"], "role": "ATTRIBUTION_ROLE_ORIGIN"}, {"actors": ["actors/nk"]}]
    client = server.client
    client.commit(
        create(source={"name": "sources/s", "title": "S"}),
        *[create(actor=body | {"name": f"actors/{id_}"}) for id_, body in ACTORS.items()],
        *[create(event=body | {"name": f"events/{id_}"}) for id_, body in EVENTS.items()],
        create(claim=claim("sources/s", name="claims/c1", attribution=hops, topic="troops")),
        create(claim=claim("sources/s", name="claims/c2", attribution=hops[::-1], kind="CLAIM_KIND_PREDICTION")),
        create(estimate=estimate("claims/c1", name="estimates/n0", best=0)),
        create(estimate=estimate("claims/c1", name="estimates/n3000", best=3000)),
        create(
            estimate=estimate("claims/c2", name="estimates/none", quantity={"unit": "1", "status": "VALUE_STATUS_WITHHELD"})
        ),
        create(relation=relation("SUPPORTS", "claims/c1", "claims/c2", name="relations/r1")),
        create(relation=relation("DISPUTES", "claims/c1", "claims/c2", name="relations/r2", revoked=True)),
    )
    client.commit(merge("actors/old", "actors/nk"))
    return client


# collection, filter, ids that match
CASES = [
    # No filter means every record.
    ("events", "", "e1 e2 e3 e4"),
    ("events", "   ", "e1 e2 e3 e4"),
    # Strings: exact, by bytes.
    ("events", 'title = "Talks"', "e3"),
    ("events", 'title = "talks"', ""),
    ("events", 'title = "Talk"', ""),
    ("events", 'title != "Talks"', "e1 e2 e4"),
    ("events", 'title < "T"', "e4"),
    ("events", 'title >= "Tr"', "e1 e2"),
    ("events", 'title > "Training in Kursk"', "e1"),
    ("events", 'title <= "Talks"', "e3 e4"),
    ("events", r'title = "He said \"no\""', "e4"),
    ("events", r'description = "back\\slash"', "e4"),
    # A star at the start or the end of a string matches any text.
    ("events", 'title = "Tr*"', "e1 e2"),
    ("events", 'title = "*Kursk"', "e2"),
    ("events", 'title = "*to*"', "e1"),
    ("events", 'title : "*to*"', "e1"),
    ("events", 'title != "T*"', "e4"),
    ("events", 'title = "*"', "e1 e2 e3 e4"),
    ("events", 'title = "Talks*"', "e3"),
    ("events", 'types = "cameo:*"', "e1"),
    ("events", r'annotations.note = "a\*b"', "e3"),
    ("events", r'annotations.note = "a\**"', "e3"),
    ("events", 'annotations.note = "a*"', "e3 e4"),
    # Names: proto or JSON.
    ("actors", 'display_name = "North Korea"', "nk"),
    ("actors", 'displayName = "North Korea"', "nk"),
    ("actors", 'names.text = "NIS"', "nis"),
    ("actors", 'names.text = "국정원"', "nis"),
    ("events", 'name = "events/e2"', "e2"),
    ("events", 'name = "events/*"', "e1 e2 e3 e4"),
    # Times: RFC 3339 or dates.
    ("events", 'time.earliest >= "2024-10-23"', "e2 e3"),
    ("events", 'time.earliest >= "2024-10-23T00:00:00Z"', "e2 e3"),
    ("events", 'time.earliest > "2024-10-23"', "e3"),
    ("events", 'time.earliest = "2024-10-23T09:00:00+09:00"', "e2"),
    ("events", 'time.latest <= "2024-10-14"', "e1"),
    ("events", 'time.earliest >= "2024-10-08" AND time.latest <= "2024-10-24"', "e1 e2"),
    ("events", 'create_time > "2024-01-01"', "e1 e2 e3 e4"),
    ("events", 'updateTime < "2024-01-01"', ""),
    # Numbers.
    ("events", "revision = 1", "e1 e2 e3 e4"),
    ("events", "create_revision > 1", ""),
    ("events", "places.latitude > 51.69", "e1"),
    ("events", "places.latitude < 5.2e1", "e1"),
    ("events", "places.latitude >= -90", "e1"),
    # Maps: the key may be quoted; unquoted, the rest of the path is the key.
    ("events", 'metrics."gdelt.goldstein" < -5', "e1"),
    ("events", "metrics.gdelt.goldstein < -5", "e1"),
    ("events", "metrics.gdelt.goldstein:*", "e1 e2"),
    ("events", 'annotations."path.key" = "x"', "e3"),
    ("events", "metrics.n = 0", "e1"),
    ("events", "metrics.missing != 1", ""),
    ("events", "NOT metrics.missing = 1", "e1 e2 e3 e4"),
    # Enums: with or without the type's prefix.
    ("events", "actuality = OCCURRED", "e1"),
    ("events", "actuality = ACTUALITY_PLANNED", "e3"),
    ("events", "actuality : PLANNED", "e3"),
    ("events", "participants.role = RECIPIENT", "e1 e2"),
    ("claims", "kind = PREDICTION", "c2"),
    # Unset: a comparison is false, != included.
    ("events", "actuality != OCCURRED", "e3"),
    ("events", "NOT actuality = OCCURRED", "e2 e3 e4"),
    ("events", "actuality:*", "e1 e3"),
    ("events", "NOT actuality:*", "e2 e4"),
    ("events", 'description != "x"', "e4"),
    ("events", 'NOT description = "x"', "e1 e2 e3 e4"),
    ("events", "description:*", "e4"),
    ("events", "NOT description:*", "e1 e2 e3"),
    ("events", "participants:*", "e1 e2"),
    ("events", "NOT types:*", "e2 e3 e4"),
    ("events", "time:*", "e1 e2 e3"),
    ("events", "NOT time:*", "e4"),
    ("events", 'time.earliest < "3000-01-01"', "e1 e2 e3"),
    ("claims", 'topic != "x"', "c1"),
    # A bool or number without `optional` is always set.
    ("relations", "revoked = false", "r1"),
    ("relations", "revoked = true", "r2"),
    ("relations", "revoked != true", "r1"),
    ("relations", "revoked:*", "r1 r2"),
    ("actors", "unnamed = true", "men"),
    ("actors", "NOT unnamed = true", "nis nk"),
    # With `optional` it may be unset, and 0 is not unset.
    ("estimates", "quantity.best = 0", "n0"),
    ("estimates", "quantity.best < 5000", "n0 n3000"),
    ("estimates", "quantity.best:*", "n0 n3000"),
    ("estimates", "NOT quantity.best:*", "none"),
    ("estimates", "quantity.status = WITHHELD", "none"),
    ("estimates", "quantity.status = KNOWN", "n0 n3000"),
    # Repeated: every operator means "any element".
    ("events", 'types = "cameo:190"', "e1"),
    ("events", 'types : "cameo:190"', "e1"),
    ("events", 'types != "cameo:190"', "e1"),
    ("events", 'NOT types = "cameo:190"', "e2 e3 e4"),
    ("events", 'places.country = "RUS"', "e1 e2"),
    ("events", 'places.country != "RUS"', "e1"),
    ("events", 'places.country = "PRK" AND places.display_name = "Kursk"', ""),
    ("actors", 'countries : "KOR" OR countries : "PRK"', "nis nk"),
    ("actors", 'external_ids : "wikidata:Q423"', "nk"),
    ("events", 'labels : "tlp:green"', "e1"),
    # One element satisfies the whole expression, or several do together.
    ("events", 'participants:(actor = "actors/nk" AND role = RECIPIENT)', "e2"),
    ("events", 'participants.actor = "actors/nk" AND participants.role = RECIPIENT', "e1 e2"),
    ("events", 'participants:(role = INITIATOR OR side = "b")', "e1"),
    ("events", "participants:(NOT role = RECIPIENT)", "e1"),
    ("events", 'NOT participants:(side = "a")', "e2 e3 e4"),
    ("events", 'places:(country = "RUS" AND latitude > 50)', "e1"),
    ("events", 'places:(country = "PRK" AND latitude > 50)', ""),
    ("claims", 'attribution:(role = ORIGIN AND actors:"actors/nis")', "c1 c2"),
    ("claims", 'attribution:(role = ORIGIN AND actors:"actors/nk")', ""),
    ("claims", 'attribution.actors = "actors/nk"', "c1 c2"),
    # References compare after redirects.
    ("events", 'participants.actor = "actors/old"', "e1 e2"),
    ("events", 'participants.actor : "actors/nk"', "e1 e2"),
    ("events", 'participants:(actor = "actors/old" AND role = INITIATOR)', "e1"),
    ("estimates", 'claim = "claims/c1"', "n0 n3000"),
    ("relations", 'subject = "claims/c1" AND object = "claims/c2"', "r1 r2"),
    # AND, OR, NOT, parentheses.
    ("events", 'title = "Talks" OR title = "Training*"', "e2 e3"),
    ("events", 'title = "T*" AND actuality:* AND places:*', "e1"),
    ("events", '-title = "Talks"', "e1 e2 e4"),
    ("events", 'NOT (title = "Talks" OR title = "Training*")', "e1 e4"),
    ("events", '-(title = "Talks")', "e1 e2 e4"),
    ("events", '(title = "Talks" OR title = "Training*") AND places.country = "RUS"', "e2"),
    ("events", 'title = "Talks" OR (title = "Tr*" AND actuality = OCCURRED)', "e1 e3"),
    ("events", 'NOT title = "Talks" AND NOT title = "Tr*"', "e4"),
    ("events", '((title = "Talks"))', "e3"),
    ("events", 'title="Talks"', "e3"),
    ("events", '  title\t=\n"Talks"  ', "e3"),
]


@pytest.mark.parametrize(("collection", "filter_", "expected"), CASES)
def test_a_filter_finds(record: Client, collection: str, filter_: str, expected: str) -> None:
    names = record.names(collection, filter_)
    assert names == sorted(names)
    assert " ".join(name.split("/")[1] for name in names) == expected


REFUSED = [
    # Bare words, and anything else that is not a comparison.
    ("events", "Talks"),
    ("events", '"Talks"'),
    ("events", "title"),
    ("events", "title ="),
    ("events", '= "x"'),
    ("events", 'title = "x'),
    ("events", 'title == "x"'),
    ("events", 'title ~ "x"'),
    ("events", "title = Talks"),
    ("events", "title = 'Talks'"),
    ("events", "title = *"),
    ("events", "title > *"),
    ("events", 'title = "a" title = "b"'),
    ("events", 'title = "a" AND'),
    ("events", 'AND title = "a"'),
    ("events", 'NOT NOT title = "a"'),
    ("events", '(title = "a"'),
    ("events", 'title = "a")'),
    ("events", "()"),
    ("events", 'participants:(actor = "actors/nk"'),
    # Keywords are upper-case.
    ("events", 'title = "a" and title = "b"'),
    ("events", 'not title = "a"'),
    # AND and OR mixed on one level.
    ("events", 'title = "a" AND title = "b" OR title = "c"'),
    ("events", 'title = "a" OR title = "b" AND title = "c"'),
    # Fields that do not exist, and values of the wrong type.
    ("events", 'no_such_field = "x"'),
    ("events", 'title.x = "x"'),
    ("events", 'display_name = "x"'),
    ("events", 'participants.no_such_field = "x"'),
    ("events", "title = 5"),
    ("events", "title = true"),
    ("events", 'metrics.n = "x"'),
    ("events", "actuality = NOPE"),
    ("events", "actuality = occurred"),
    ("events", 'time.earliest > "yesterday"'),
    ("events", 'time.earliest > "2024-13-01"'),
    ("events", "time.earliest > 5"),
    ("events", 'time = "2024"'),
    ("events", 'participants = "actors/nk"'),
    ("relations", 'revoked = "true"'),
    ("relations", "revoked = TRUE"),
]


@pytest.mark.parametrize(("collection", "filter_"), REFUSED)
def test_a_filter_is_refused(record: Client, collection: str, filter_: str) -> None:
    with fails("FILTER_INVALID", "INVALID_ARGUMENT") as failure:
        record.page(collection, filter=filter_)
    # The number of characters before the error.
    assert 0 <= int(failure.metadata["position"]) <= len(filter_)
    assert failure.metadata["expected"]


def test_mixing_and_with_or_asks_for_parentheses(record: Client) -> None:
    with fails("FILTER_INVALID") as failure:
        record.page("events", filter='title = "a" AND title = "b" OR title = "c"')
    assert "parenthes" in failure.message


def test_an_unknown_field_is_answered_with_those_there_are(record: Client) -> None:
    with fails("FILTER_INVALID") as failure:
        record.page("events", filter='titel = "x"')
    assert failure.metadata["position"] == "0"
    assert failure.metadata["found"] == "titel"
    assert all(field in failure.metadata["expected"] for field in ("title", "participants", "external_ids"))
    # Positions count characters and not bytes.
    with fails("FILTER_INVALID") as failure:
        record.page("events", filter='title = "폭풍" AND titel = "x"')
    assert failure.metadata["position"] == "17"
    with fails("FILTER_INVALID") as failure:
        record.page("events", filter="participants.rolle = RECIPIENT")
    assert all(field in failure.metadata["expected"] for field in ("actor", "role", "side"))
