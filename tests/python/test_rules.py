"""The rules V1 to V13 of docs/data-model.md: what passes, and what is refused with the path of the field that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from annals_client import Client, claim, create, estimate, fails, relation, update
from conftest import Server

TEXT = "On Wednesday, 폭풍군단 said \U0001f600 no."


@pytest.fixture(scope="module")
def base(server: Server) -> Client:
    """A server with one record of each type to refer to."""
    server.client.commit(
        create(source={"name": "sources/text", "text": TEXT}),
        create(source={"name": "sources/bare", "title": "S"}),
        create(actor={"name": "actors/a", "display_name": "A"}),
        create(actor={"name": "actors/b", "display_name": "B"}),
        create(event={"name": "events/a", "title": "A"}),
        create(event={"name": "events/b", "title": "B"}),
        create(claim=claim("sources/bare", name="claims/a")),
        create(claim=claim("sources/bare", name="claims/b")),
        create(estimate=estimate("claims/a", name="estimates/a")),
        create(estimate=estimate("claims/a", name="estimates/b")),
    )
    return server.client


def accepts(client: Client, kind: str, record: dict[str, Any]) -> None:
    """Expects a record to be valid."""
    client.commit(create(**{kind: record}), request_id="", validate_only=True)


def quantity(**parts: Any) -> dict[str, Any]:
    """An estimate of a quantity, in a unit that may be negative."""
    return estimate("claims/a", quantity={"unit": "km"} | parts)


def count(aspect: str = "CUMULATIVE", **parts: Any) -> dict[str, Any]:
    """An estimate of a count."""
    return estimate("claims/a", quantity={"unit": "1"} | parts, aspect=f"ASPECT_{aspect}")


def quantiles(*points: tuple[float, float]) -> dict[str, Any]:
    """An estimate given as quantiles."""
    return quantity(quantiles=[{"p": p, "value": value} for p, value in points])


def timed(**parts: Any) -> dict[str, Any]:
    """An event at a time."""
    return {"title": "A", "time": parts}


def placed(**parts: Any) -> dict[str, Any]:
    """An event at a place."""
    return {"title": "A", "places": [parts]}


def rated(code: str) -> dict[str, Any]:
    """An event with a rating."""
    return {"title": "A", "ratings": [{"code": code}]}


def cited(source: str = "sources/text", **parts: Any) -> dict[str, Any]:
    """A claim with a citation."""
    return claim(source, citations=[{"source": source} | parts])


def projected(mode: str, as_of: str, reference_time: str) -> dict[str, Any]:
    """An estimate with both its times."""
    return estimate("claims/a", mode=f"ESTIMATE_MODE_{mode}", as_of={"edtf": as_of}, reference_time={"edtf": reference_time})


def cases(rules: Mapping[str, list[Any]]) -> list[Any]:
    """The cases of all rules, each under the name of its rule."""
    return [pytest.param(*case, id=f"{rule}-{n}") for rule, cases in rules.items() for n, case in enumerate(cases)]


ACCEPTED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "V1": [
        ("estimate", quantity(lower=1, best=1, upper=1)),
        ("estimate", quantity(lower=-3, upper=-1)),
        ("estimate", quantity(lower=1, best=2, upper=3, lower_exclusive=True, upper_exclusive=True)),
        ("estimate", quantity(lower=3, best=2, upper=1, inconsistent_as_reported=True)),
        ("estimate", quantity(best=5, upper=4, inconsistent_as_reported=True)),
    ],
    "V2": [
        ("estimate", quantity(best=0)),
        ("estimate", quantity(best=1, status="VALUE_STATUS_KNOWN")),
        ("estimate", quantity(lower=300, lower_exclusive=True)),
        ("estimate", quantity(status="VALUE_STATUS_UNKNOWN")),
        ("estimate", quantity(status="VALUE_STATUS_NONE")),
        ("estimate", quantity(status="VALUE_STATUS_WITHHELD")),
        ("estimate", quantity(status="VALUE_STATUS_VAGUE", verbatim="a significant number")),
    ],
    "V3": [
        ("estimate", count("INCREMENT", best=-5)),
        ("estimate", estimate("claims/a", quantity={"unit": "1", "best": 0.5}, aspect="ASPECT_SHARE")),
        ("estimate", quantity(best=1, lower=0, upper=2, interval_level=0.95)),
        ("estimate", quantiles((0.1, 1), (0.5, 1), (0.9, 2))),
    ],
    "V4": [
        ("claim", claim("sources/bare", attribution=[{"actors": ["actors/a"]}, {"description": "reports"}])),
        (
            "estimate",
            estimate("", attribution=[{"actors": ["actors/a"]}], citations=[{"source": "sources/bare"}]),
        ),
    ],
    "V6": [
        ("claim", cited(span={"start": 0, "end": 2}, quote="On")),
        # Code points, not bytes or UTF-16 units: the emoji is one.
        ("claim", cited(span={"start": 14, "end": 18}, quote="폭풍군단")),
        ("claim", cited(span={"start": 24, "end": 25}, quote="\U0001f600")),
        ("claim", cited(span={"start": 0, "end": len(TEXT)})),
        ("claim", cited(quote="words that are not in it")),
        ("claim", cited("sources/bare", span={"start": 1000, "end": 2000}, quote="unchecked")),
    ],
    "V7": [
        ("event", timed(edtf="2024-10-23")),
        ("event", timed(verbatim="by December")),
        ("event", timed(earliest="2024-10-23T00:00:00Z")),
        ("event", timed(edtf="2024-10-01/..")),
    ],
    "V8": [
        ("estimate", projected("PROJECTED", "2024-10-23", "2024-12")),
        ("estimate", projected("PROJECTED", "2024-10-23", "2024-10")),
        ("estimate", projected("COUNTED", "2024-10-23", "2024-10-22")),
        ("estimate", projected("COUNTED", "2024-10-23", "2024")),
        ("estimate", projected("ESTIMATED", "2024-10-23", "2025")),
    ],
    "V9": [
        ("estimate", estimate("claims/a", origin="ESTIMATE_ORIGIN_COMPUTED", inputs=["estimates/a"])),
        ("estimate", estimate("claims/a", origin="ESTIMATE_ORIGIN_APPORTIONED", inputs=["estimates/a", "estimates/b"])),
    ],
    "V10": [
        ("event", placed(latitude=90, longitude=-180)),
        ("event", placed(latitude=0, longitude=0, radius_m=0)),
        ("event", placed(country="PRK")),
        ("event", placed(display_name="at sea")),
    ],
    "V11": [
        ("relation", relation("SUPERSEDES", "claims/a", "claims/b")),
        ("relation", relation("CORRECTS", "estimates/a", "estimates/b")),
        ("relation", relation("RETRACTS", "sources/text", "sources/bare")),
        ("relation", relation("MENTIONS", "sources/text", "events/a")),
        ("relation", relation("CAUSES", "events/a", "events/b")),
        ("relation", relation("NOT_SAME_AS", "actors/a", "actors/b")),
        ("relation", relation("MAYBE_SAME_AS", "sources/text", "sources/bare")),
        ("relation", relation("RATES", "", "claims/a", rating={"code": "admiralty.credibility:2"})),
        ("relation", relation("RATES", "claims/b", "claims/a")),
        ("relation", relation("SUPPORTS", "claims/a", "claims/b")),
    ],
    "V12": [("event", {"title": "A"}), ("estimate", estimate("claims/a"))],
    "V13": [
        ("event", rated("admiralty.reliability:A")),
        ("event", rated("admiralty.credibility:6")),
        ("event", rated("stix.confidence:0")),
        ("event", rated("stix.confidence:100")),
        ("event", rated("icd203.likelihood:likely")),
        ("event", rated("icd203.confidence:moderate")),
        ("event", rated("my-scheme:anything at all")),
    ],
}


@pytest.mark.parametrize(("kind", "record"), cases(ACCEPTED))
def test_a_valid_record_is_accepted(base: Client, kind: str, record: dict[str, Any]) -> None:
    accepts(base, kind, record)


REFUSED: dict[str, list[tuple[str, dict[str, Any], str]]] = {
    "V1": [
        ("estimate", quantity(lower=2, best=1), "quantity"),
        ("estimate", quantity(best=2, upper=1), "quantity"),
        ("estimate", quantity(lower=2, upper=1), "quantity"),
        ("estimate", quantity(lower=1, best=1, lower_exclusive=True), "quantity"),
        ("estimate", quantity(best=3, upper=3, upper_exclusive=True), "quantity"),
        ("estimate", quantity(lower=1, best=2, inconsistent_as_reported=True), "quantity.inconsistent_as_reported"),
    ],
    "V2": [
        ("estimate", quantity(), "quantity"),
        ("estimate", quantity(status="VALUE_STATUS_KNOWN"), "quantity"),
        ("estimate", quantity(status="VALUE_STATUS_UNKNOWN", best=1), "quantity"),
        ("estimate", quantity(status="VALUE_STATUS_NONE", lower=1), "quantity"),
        ("estimate", quantity(status="VALUE_STATUS_WITHHELD", upper=1), "quantity"),
        ("estimate", quantity(status="VALUE_STATUS_VAGUE"), "quantity.verbatim"),
        ("estimate", quantity(best=1, lower_exclusive=True), "quantity.lower_exclusive"),
        ("estimate", quantity(best=1, upper_exclusive=True), "quantity.upper_exclusive"),
    ],
    "V3": [
        ("estimate", count(best=-1), "quantity.best"),
        ("estimate", count("LEVEL", lower=-1), "quantity.lower"),
        ("estimate", quantity(best=1, interval_level=1), "quantity.interval_level"),
        ("estimate", quantity(best=1, interval_level=0), "quantity.interval_level"),
        ("estimate", quantiles((0, 1)), "quantity.quantiles[0].p"),
        ("estimate", quantiles((0.5, 1), (1, 1)), "quantity.quantiles[1].p"),
        ("estimate", quantiles((0.5, 1), (0.5, 2)), "quantity.quantiles[1].p"),
        ("estimate", quantiles((0.1, 2), (0.5, 1)), "quantity.quantiles[1].value"),
        ("estimate", estimate("claims/a", quantity={"unit": "1", "best": 1.1}, aspect="ASPECT_SHARE"), "quantity.best"),
    ],
    "V4": [
        ("claim", claim("sources/bare", attribution=[]), "attribution"),
        ("claim", claim("sources/bare", citations=[]), "citations"),
        ("claim", claim("sources/bare", attribution=[{"cue": "said"}]), "attribution[0]"),
        ("estimate", estimate("", citations=[{"source": "sources/bare"}]), "attribution"),
        ("estimate", estimate("", attribution=[{"actors": ["actors/a"]}]), "citations"),
    ],
    "V6": [
        ("claim", cited(span={"start": 0, "end": 2}, quote="on"), "citations[0].quote"),
        ("claim", cited(span={"start": 0, "end": len(TEXT) + 1}), "citations[0].span"),
        ("claim", cited(span={"start": 3, "end": 2}), "citations[0].span"),
    ],
    "V7": [
        ("event", timed(edtf=edtf), "time.edtf")
        for edtf in ["today", "2024-13", "2024-02-30", "0000", "9999", "10000", "2024/2023", "24-10-2024", "2024-10-23 ", "/"]
    ]
    + [
        ("event", timed(earliest="2024-10-23T00:00:00Z", latest="2024-10-23T00:00:00Z"), "time"),
        ("event", timed(earliest="2024-10-24T00:00:00Z", latest="2024-10-23T00:00:00Z"), "time"),
    ],
    "V8": [
        ("estimate", projected("PROJECTED", "2024-10-23", "2024-10-22"), "reference_time"),
        ("estimate", projected("COUNTED", "2024-10-23", "2024-10-24"), "reference_time"),
    ],
    "V9": [
        ("estimate", estimate("claims/a", origin="ESTIMATE_ORIGIN_COMPUTED"), "inputs"),
        ("estimate", estimate("claims/a", origin="ESTIMATE_ORIGIN_APPORTIONED"), "inputs"),
        ("estimate", estimate("claims/a", origin="ESTIMATE_ORIGIN_AS_REPORTED", inputs=["estimates/a"]), "inputs"),
    ],
    "V10": [
        ("event", placed(latitude=90.1, longitude=0), "places[0].latitude"),
        ("event", placed(latitude=0, longitude=-180.1), "places[0].longitude"),
        ("event", placed(country="XYZ"), "places[0].country"),
        ("event", placed(country="KP"), "places[0].country"),
        ("event", placed(country="prk"), "places[0].country"),
        ("event", placed(latitude=0, longitude=0, radius_m=-1), "places[0].radius_m"),
        ("actor", {"display_name": "A", "countries": ["PRK", "XYZ"]}, "countries[1]"),
    ],
    "V11": [
        ("relation", relation("SUPPORTS", "claims/a", "claims/a"), "object"),
        ("relation", relation("SUPERSEDES", "claims/a", "estimates/a"), "object"),
        ("relation", relation("MENTIONS", "sources/text", "claims/a"), "object"),
        ("relation", relation("MENTIONS", "events/a", "events/b"), "subject"),
        ("relation", relation("CAUSES", "events/a", "claims/a"), "object"),
        ("relation", relation("NOT_SAME_AS", "actors/a", "events/a"), "object"),
        ("relation", relation("RATES", "", "claims/a"), "rating"),
        ("relation", relation("SUPPORTS", "", "claims/a"), "subject"),
        ("relation", relation("SUPPORTS", "claims/a", ""), "object"),
    ],
    "V12": [
        ("claim", claim("sources/bare", kind=0), "kind"),
        ("claim", claim("sources/bare", polarity=0), "polarity"),
        ("claim", claim("sources/bare", kind=99), "kind"),
        ("estimate", estimate("claims/a", aspect=0), "aspect"),
        ("estimate", estimate("claims/a", mode=0), "mode"),
        ("estimate", estimate("claims/a", origin=0), "origin"),
        ("estimate", estimate("claims/a", origin=99), "origin"),
        ("estimate", estimate("claims/a", quantity={"best": 1}), "quantity.unit"),
        ("relation", relation("SUPPORTS", "claims/a", "claims/b") | {"kind": 0}, "kind"),
    ],
    "V13": [
        ("event", rated(code), "ratings[0].code")
        for code in [
            "admiralty.reliability:G",
            "admiralty.reliability:a",
            "admiralty.credibility:7",
            "stix.confidence:101",
            "stix.confidence:-1",
            "stix.confidence:high",
            "icd203.likelihood:perhaps",
            "icd203.confidence:medium",
        ]
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "record", "path"), cases(REFUSED))
def test_a_record_that_breaks_a_rule_is_refused(base: Client, kind: str, record: dict[str, Any], path: str) -> None:
    with fails("FIELD_INVALID") as failure:
        base.commit(create(**{kind: record}), request_id="", validate_only=True)
    # At the field, or below or above it if the rule is about several fields.
    wanted = f"mutations[0].create.{kind}.{path}"
    assert all(found.startswith(wanted) or wanted.startswith(found + ".") for found in failure.paths), failure.violations


# ------------------------------------------------------------------------------------------------ V5, cycles


def link(kind: str, a: str, b: str) -> Callable[[], list[Any]]:
    """Two records of a type that refer to each other."""
    bodies: dict[str, Callable[[str], dict[str, Any]]] = {
        "event": lambda other: {"title": "A", "links": [{"event": other, "kind": "EVENT_LINK_KIND_PART_OF"}]},
        "actor": lambda other: {
            "display_name": "A",
            "affiliations": [{"actor": other, "role": "AFFILIATION_ROLE_PART_OF"}],
        },
        "source": lambda other: {"title": "A", "derived_from": other},
        "estimate": lambda other: estimate("claims/a", origin="ESTIMATE_ORIGIN_COMPUTED", inputs=[other]),
    }
    return lambda: [create(a, **{kind: bodies[kind](f"@{b}")}), create(b, **{kind: bodies[kind](f"@{a}")})]


@pytest.mark.parametrize("kind", ["event", "actor", "source", "estimate"])
def test_a_cycle_is_refused(base: Client, kind: str) -> None:
    with fails("FIELD_INVALID") as failure:
        base.commit(*link(kind, "a", "b")())
    assert failure.paths


def test_a_source_is_not_part_of_itself(base: Client) -> None:
    with fails("FIELD_INVALID"):
        base.commit(create("a", source={"title": "A", "part_of": "@b"}), create("b", source={"title": "B", "part_of": "@a"}))


def test_supersedes_has_no_cycles(base: Client) -> None:
    base.commit(create(relation=relation("SUPERSEDES", "claims/a", "claims/b")))
    with fails("FIELD_INVALID"):
        base.commit(create(relation=relation("SUPERSEDES", "claims/b", "claims/a")))


def test_a_cycle_closed_later_is_refused(base: Client) -> None:
    top = base.create(event={"title": "Top"})
    part = base.create(event={"title": "Part", "links": [{"event": top, "kind": "EVENT_LINK_KIND_PART_OF"}]})
    with fails("FIELD_INVALID"):
        base.commit(update(event={"name": top, "links": [{"event": part, "kind": "EVENT_LINK_KIND_PART_OF"}]}))
    # FOLLOWS links may form a cycle.
    base.commit(update(event={"name": top, "links": [{"event": part, "kind": "EVENT_LINK_KIND_FOLLOWS"}]}))
