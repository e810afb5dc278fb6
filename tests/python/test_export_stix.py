"""The bundle of `annals export --format stix`, checked with the validator and the library of OASIS, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stix2
import stix2validator
from conftest import Server
from exported import STORES, Store, article_in


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Store:
    return STORES[request.param](start_server())


@pytest.fixture(scope="module")
def article(start_server: Callable[..., Server]) -> Store:
    return article_in(start_server())


@pytest.fixture(scope="module")
def bundle(store: Store) -> dict[str, Any]:
    return json.loads(store.export("stix"))


def extension(bundle: dict[str, Any]) -> str:
    """The id of the extension that the bundle declares."""
    (definition,) = (each for each in bundle["objects"] if each["type"] == "extension-definition")
    return definition["id"]


def test_the_validator_of_oasis_accepts_the_bundle(bundle: dict[str, Any]) -> None:
    # Warnings about ids made from names, and about relationships that are not suggested, are expected. All others are not.
    meant = ["uuid-check", "relationship-types"]
    options = stix2validator.ValidationOptions(version="2.1", disabled=meant, enforce_refs=True)
    results = stix2validator.validate_parsed_json(bundle, options)
    assert results.is_valid, [str(error) for error in results.errors][:5]
    warnings = [str(warning) for each in [results, *getattr(results, "object_results", [])] for warning in each.warnings]
    assert not warnings, warnings[:5]
    broken = json.loads(json.dumps(bundle))
    del broken["objects"][2]["created"]
    assert not stix2validator.validate_parsed_json(broken, options).is_valid


def test_values_that_stix_cannot_hold_leave_the_bundle_valid(start_server: Callable[..., Server], tmp_path: Path) -> None:
    hop = [{"actors": ["actors/a"]}]
    cited = [{"source": "sources/bare"}]
    claim = {"kind": "CLAIM_KIND_FACT", "polarity": "POLARITY_AFFIRMED", "attribution": hop, "citations": cited}
    records = [
        {"source": {"name": "sources/bare"}},
        {"source": {"name": "sources/odd", "uri": "page 3 of http://x y/%zz", "media_type": "text/x-unheard-of", "text": "x"}},
        {"source": {"name": "sources/hash", "uri": "https://a.example/ü", "sha256": "ab" * 32, "license": "MIT"}},
        {"source": {"name": "sources/seen", "uri": "https://a.example/b?c#d", "external_ids": ["cve:x", "x:CVE-2020-12345"]}},
        {
            "actor": {
                "name": "actors/a",
                "display_name": "A",
                "labels": ["tlp:red", "x:y"],
                "metrics": {"a": 1},
                "annotations": {"b": ""},
            }
        },
        {
            "event": {
                "name": "events/e",
                "title": "E",
                "places": [{"display_name": "sea"}, {"country": "YUG"}, {"country": "XKX"}],
            }
        },
        {"event": {"name": "events/f", "title": "F", "participants": [{"verbatim": "some"}], "links": [{"event": "events/e"}]}},
        {
            "claim": {
                "name": "claims/c",
                "statement": "S",
                "language": "zh-Hant",
                "ratings": [{"code": "stix.confidence:0"}],
                **claim,
            }
        },
        {"claim": {"name": "claims/d", "statement": "T", "language": "am", **claim}},
        {"relation": {"name": "relations/r", "kind": "RELATION_KIND_DISPUTES", "subject": "claims/c", "object": "claims/d"}},
        {"relation": {"name": "relations/s", "kind": "RELATION_KIND_SUPPORTS", "subject": "claims/d", "object": "relations/r"}},
        {
            "relation": {
                "name": "relations/t",
                "kind": "RELATION_KIND_RATES",
                "object": "claims/c",
                "rating": {"code": "admiralty.credibility:2"},
                "effective": {"edtf": "2024-10"},
                "revoked": True,
            }
        },
    ]
    commit = tmp_path / "awkward.json"
    request = {"request_id": "awkward", "mutations": [{"create": record} for record in records]}
    commit.write_text(json.dumps(request), encoding="utf-8")
    server = start_server()
    server.run("commit", str(commit))
    store = Store(server)
    assert len(store.records) == len(records)
    bundle = json.loads(store.export("stix"))
    results = stix2validator.validate_parsed_json(bundle, stix2validator.ValidationOptions(version="2.1", enforce_refs=True))
    assert results.is_valid, [str(error) for error in results.errors]
    key = extension(bundle)
    kept = [each["extensions"][key]["record"] for each in bundle["objects"] if key in each.get("extensions", {})]
    assert {record["name"]: record for record in kept} == store.records


def test_the_library_of_oasis_reads_the_bundle(bundle: dict[str, Any]) -> None:
    parsed = stix2.parse(bundle)
    assert len(parsed.objects) == len(bundle["objects"])


def test_every_record_is_in_the_extension_of_exactly_one_object(store: Store, bundle: dict[str, Any]) -> None:
    key = extension(bundle)
    records = [each["extensions"][key]["record"] for each in bundle["objects"] if key in each.get("extensions", {})]
    assert len(records) == len(store.records)
    assert {record["name"]: record for record in records} == store.records


def test_every_object_that_is_referred_to_is_in_the_bundle(bundle: dict[str, Any]) -> None:
    ids = {each["id"] for each in bundle["objects"]}
    for each in bundle["objects"]:
        refs = [ref for name, ref in each.items() if name.endswith("_ref")]
        refs += [ref for name, many in each.items() if name.endswith("_refs") for ref in many]
        assert set(refs) <= ids, each


def test_the_properties_of_objects_say_what_the_records_say(article: Store) -> None:
    bundle = json.loads(article.export("stix"))
    key = extension(bundle)
    ids = {each["extensions"][key]["record"]["name"]: each for each in bundle["objects"] if key in each.get("extensions", {})}
    actor = ids["actors/north-korea"]
    assert (actor["type"], actor["name"], actor["identity_class"]) == ("identity", "North Korea", "organization")
    assert actor["external_references"] == [{"source_name": "wikidata", "external_id": "Q423"}]
    claim = ids["claims/nk-troops-c01"]
    assert claim["type"] == "note" and claim["content"] == article.records["claims/nk-troops-c01"]["statement"]
    assert ids["sources/nk-troops-2024-10-23"]["id"] in claim["object_refs"] and ids["actors/nis"]["id"] in claim["object_refs"]
    source = ids["sources/nk-troops-2024-10-23"]
    assert (source["type"], source["published"]) == ("report", "2024-10-23T00:00:00Z")
    kinds = {each["type"] for each in bundle["objects"]}
    assert kinds == {
        "artifact",
        "extension-definition",
        "identity",
        "incident",
        "location",
        "note",
        "observed-data",
        "opinion",
        "relationship",
        "report",
    }
    dispute = ids["relations/nk-troops-r13"]
    ends = [dispute["source_ref"], dispute["relationship_type"], dispute["target_ref"]]
    assert ends == [ids["claims/nk-troops-c28"]["id"], "disputes", ids["claims/nk-troops-c23"]["id"]]
    opinions = {each["object_refs"][0]: each["opinion"] for each in bundle["objects"] if each["type"] == "opinion"}
    assert opinions[ids["claims/nk-troops-c23"]["id"]] == "disagree"


def test_a_store_is_the_same_bundle_every_time_and_a_part_of_it_has_the_same_objects(
    store: Store, bundle: dict[str, Any]
) -> None:
    assert store.export("stix") == store.export("stix")
    objects = {each["id"]: each for each in bundle["objects"]}
    some = json.loads(store.export("stix", "estimates"))["objects"]
    assert len(some) == 2 + len(store.of("estimates"))
    assert all(objects[each["id"]] == each for each in some)
