"""Turns rows of the UCDP Georeferenced Event Dataset into commits, and records back into rows.

The mapping is the table in docs/data-model.md. Nothing is lost: `row_of(...)` gives every column back as it was published.
Commits are safe to repeat: everything is an upsert by external id.
"""

from __future__ import annotations

import csv
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from annals.v1 import record_service_pb2 as rs
from annals.v1 import records_pb2
from annals_client import mutation

Row = dict[str, str]

VIOLENCE = {"1.0": "State-based violence", "2.0": "Non-state violence", "3.0": "One-sided violence"}
# UCDP's where_prec: exact, within 25 km, second- and first-order division, a line or area, the country, beyond.
PRECISION = {"1": "EXACT", "2": "NEAR", "3": "ADMIN2", "4": "ADMIN1", "5": "AREA_OR_LINE", "6": "COUNTRY", "7": "INTERNATIONAL"}
METRICS = ["year", "active_year", "number_of_sources"]
LABELS = ["code_status", "country", "country_id", "region"]
KEPT_WHOLE = ["source_article", "source_office", "source_date", "source_headline"]
POPULATIONS = {"deaths_a": "side_a", "deaths_b": "side_b", "deaths_civilians": "civilians", "deaths_unknown": "unknown"}

CODER = "@ucdp"
DATASET = "@ged"


def read(path: Path) -> list[Row]:
    """The rows of a file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def whole(number: str) -> str:
    """An id as people write it: "300380.0" is 300380."""
    return str(int(float(number)))


def published(number: str) -> str:
    """An id as the file writes it."""
    return repr(float(number))


def out_of_order(row: Row) -> bool:
    """Whether a row breaks low <= best <= high, as published data sometimes does."""
    return not float(row["low"]) <= float(row["best"]) <= float(row["high"])


# ------------------------------------------------------------------------------------------------ rows to commits


def commits(rows: Iterable[Row], batch: int = 100, flagged: bool = True) -> Iterator[rs.CommitRequest]:
    """The commits that store these rows, several rows in each. `flagged` marks rows that break the order."""
    pending: list[Row] = []
    for row in rows:
        pending.append(row)
        if len(pending) == batch:
            yield commit(pending, flagged)
            pending = []
    if pending:
        yield commit(pending, flagged)


def commit(rows: list[Row], flagged: bool = True) -> rs.CommitRequest:
    """One commit of these rows: shared records first, each once, then events and estimates."""
    shared: dict[str, rs.Mutation] = {
        "ucdp": keep(
            "ucdp",
            actor={
                "display_name": "Uppsala Conflict Data Program",
                "kind": "ACTOR_KIND_ORGANIZATION",
                "external_ids": ["ucdp:coder"],
            },
        ),
        "ged": keep(
            "ged",
            source={
                "title": "UCDP Georeferenced Event Dataset",
                "kind": "SOURCE_KIND_DATASET",
                "version": "23.1",
                "license": "CC-BY-4.0",
                "publisher": CODER,
                "external_ids": ["ucdp:ged-23.1"],
            },
        ),
    }
    own: list[rs.Mutation] = []
    for row in rows:
        for label, parent in [*parents(row), *articles(row)]:
            shared.setdefault(label, parent)
        own += [event(row), *estimates(row, flagged)]
    mutations = [*shared.values(), *own]
    digest = hashlib.sha256(b"".join(item.SerializeToString(deterministic=True) for item in mutations)).hexdigest()
    return rs.CommitRequest(request_id=f"ucdp:{digest}", mutations=mutations, annotations={"dataset": "ucdp-ged-23.1"})


def keep(label: str, **record: object) -> rs.Mutation:
    """A record that several rows share: created once, then left unchanged."""
    return mutation("upsert", label, record=record, create_only=True)


def parents(row: Row) -> Iterator[tuple[str, rs.Mutation]]:
    """The conflict, the dyad and the two sides of a row."""
    conflict, dyad = f"conflict-{whole(row['conflict_new_id'])}", f"dyad-{whole(row['dyad_new_id'])}"
    yield (
        conflict,
        keep(
            conflict,
            event={
                "title": row["conflict_name"],
                "external_ids": [f"ucdp.conflict:{whole(row['conflict_new_id'])}"],
                "labels": [f"ucdp.conflict_dset_id:{whole(row['conflict_dset_id'])}"],
            },
        ),
    )
    yield (
        dyad,
        keep(
            dyad,
            event={
                "title": row["dyad_name"],
                "external_ids": [f"ucdp.dyad:{whole(row['dyad_new_id'])}"],
                "labels": [f"ucdp.dyad_dset_id:{whole(row['dyad_dset_id'])}"],
                "links": [{"event": f"@{conflict}", "kind": "EVENT_LINK_KIND_PART_OF"}],
            },
        ),
    )
    for side, gwno in [("side_a", "gwnoa"), ("side_b", "gwnob")]:
        label = f"actor-{whole(row[f'{side}_new_id'])}"
        labels = [f"ucdp.actor_dset_id:{whole(row[f'{side}_dset_id'])}"]
        if row[gwno]:
            labels.append(f"ucdp.gwno:{whole(row[gwno])}")
        actor = {
            "display_name": row[side],
            "external_ids": [f"ucdp.actor:{whole(row[f'{side}_new_id'])}"],
            "labels": labels,
        }
        yield label, keep(label, actor=actor)


def split_sources(row: Row) -> list[tuple[str, str, str]]:
    """Office, date and headline of each article of a row, where the three columns have as many parts."""
    offices, dates, headlines = (row[column].split(";") for column in ("source_office", "source_date", "source_headline"))
    if not row["source_office"] or not len(offices) == len(dates) == len(headlines):
        return []
    return list(zip(offices, dates, headlines, strict=True))


def article_label(office: str, date: str, headline: str) -> str:
    """A label for an article, the same in every row that cites it."""
    return "article-" + hashlib.sha256(f"{office}\n{date}\n{headline}".encode()).hexdigest()[:40]


def articles(row: Row) -> Iterator[tuple[str, rs.Mutation]]:
    """The articles that a row cites, and who published them."""
    for office, date, headline in split_sources(row):
        source: dict[str, object] = {}
        name = unicodedata.normalize("NFC", office).strip()
        if name:
            key = hashlib.sha256(name.encode()).hexdigest()[:40]
            external_id = f"ucdp.office:{quote(name)}"
            yield (
                f"office-{key}",
                keep(f"office-{key}", actor={"display_name": name, "external_ids": [external_id[:256]]}),
            )
            source["publisher"] = f"@office-{key}"
        if date.strip():
            source["published"] = {"edtf": date.strip()}
        if 0 < len(headline) <= 512:
            source["title"] = headline
        label = article_label(office, date, headline)
        source |= {"kind": "SOURCE_KIND_NEWS_ARTICLE", "external_ids": [f"ucdp.article:{label.removeprefix('article-')}"]}
        yield label, keep(label, source=source)


def attribution(row: Row) -> list[dict[str, object]]:
    """Who reported it, if the row says so, and who coded it."""
    coder: dict[str, object] = {"actors": [CODER], "role": "ATTRIBUTION_ROLE_CODER", "mode": "SPEECH_MODE_DATA"}
    if not row["source_original"]:
        return [coder]
    return [{"description": row["source_original"], "role": "ATTRIBUTION_ROLE_ORIGIN"}, coder]


def event(row: Row) -> rs.Mutation:
    """The event of a row."""
    id_ = whole(row["id"])
    place: dict[str, object] = {
        "display_name": row["where_coordinates"],
        "description": row["where_description"],
        "admin": [division for division in (row["adm_1"], row["adm_2"]) if division],
        "latitude": float(row["latitude"]),
        "longitude": float(row["longitude"]),
        "precision": f"PLACE_PRECISION_{PRECISION[whole(row['where_prec'])]}",
        "precision_code": f"ucdp.where_prec:{whole(row['where_prec'])}",
        "external_ids": [f"priogrid:{whole(row['priogrid_gid'])}"],
        "geometry_wkt": row["geom_wkt"],
    }
    citations: list[dict[str, object]] = [{"source": f"@{article_label(*article)}"} for article in split_sources(row)]
    citations.append({"source": DATASET, "locator": f"id {id_}"})
    sides = f"{row['side_a']} - {row['side_b']}"
    record = {
        "external_ids": [f"ucdp.ged:{id_}", f"ucdp.relid:{row['relid']}"],
        "labels": [f"ucdp.{column}:{label_code(column, row)}" for column in LABELS],
        "metrics": {f"ucdp.{column}": float(row[column]) for column in METRICS},
        "annotations": {f"ucdp.{column}": row[column] for column in KEPT_WHOLE if row[column]},
        "title": f"{VIOLENCE[row['type_of_violence']]}: {sides}, {row['where_coordinates']}"[:512],
        "types": [f"ucdp.type_of_violence:{whole(row['type_of_violence'])}"],
        "actuality": "ACTUALITY_OCCURRED",
        "time": {
            "edtf": f"{row['date_start']}/{row['date_end']}",
            "precision_code": f"ucdp.date_prec:{whole(row['date_prec'])}",
        },
        "places": [place],
        "participants": [
            {"actor": f"@actor-{whole(row['side_a_new_id'])}", "role": "PARTICIPANT_ROLE_PARTY", "side": "a"},
            {"actor": f"@actor-{whole(row['side_b_new_id'])}", "role": "PARTICIPANT_ROLE_PARTY", "side": "b"},
        ],
        "links": [{"event": f"@dyad-{whole(row['dyad_new_id'])}", "kind": "EVENT_LINK_KIND_PART_OF"}],
        "citations": citations,
        "attribution": attribution(row),
        "ratings": [{"code": f"ucdp.event_clarity:{whole(row['event_clarity'])}", "assessor": CODER}],
    }
    return mutation("upsert", f"ged-{id_}", record={"event": record})


def label_code(column: str, row: Row) -> str:
    """The code of a label: ids without the file's ".0"."""
    return whole(row[column]) if column.endswith("_id") else row[column]


def estimates(row: Row, flagged: bool) -> Iterator[rs.Mutation]:
    """The five numbers of a row: all deaths, with bounds, and the dead of each population."""
    total: dict[str, object] = {
        "unit": "1",
        "best": float(row["best"]),
        "lower": float(row["low"]),
        "upper": float(row["high"]),
    }
    if flagged and out_of_order(row):
        total["inconsistent_as_reported"] = True
    yield estimate(row, "total", total)
    for column, population in POPULATIONS.items():
        yield estimate(row, population, {"unit": "1", "best": float(row[column])}, f"ucdp.population:{population}")


def estimate(row: Row, part: str, quantity: dict[str, object], population: str = "") -> rs.Mutation:
    """One number of a row."""
    id_ = whole(row["id"])
    record = {
        "external_ids": [f"ucdp.ged.{part}:{id_}"],
        "estimand": {"measure": "measure:fatalities", "subjects": [f"@ged-{id_}"], "population": population},
        "quantity": quantity,
        "aspect": "ASPECT_CUMULATIVE",
        "mode": "ESTIMATE_MODE_ESTIMATED",
        "origin": "ESTIMATE_ORIGIN_CODED",
        "attribution": attribution(row),
        "citations": [{"source": DATASET, "locator": f"id {id_}"}],
    }
    return mutation("upsert", record={"estimate": record})


# ------------------------------------------------------------------------------------------------ records to rows


@dataclass(frozen=True)
class Stored:
    """The stored records of the rows, by name. Estimates by their event."""

    events: Mapping[str, records_pb2.Event]
    actors: Mapping[str, records_pb2.Actor]
    estimates: Mapping[str, list[records_pb2.Estimate]]


def code_of(codes: Iterable[str], scheme: str) -> str | None:
    """The value of a scheme's code, if there is one."""
    return next((code.removeprefix(f"{scheme}:") for code in codes if code.startswith(f"{scheme}:")), None)


def expect_code(codes: Iterable[str], scheme: str) -> str:
    """The value of a scheme's code."""
    code = code_of(codes, scheme)
    assert code is not None, f"no {scheme} in {list(codes)}"
    return code


def row_of(event: records_pb2.Event, stored: Stored) -> Row:
    """The row from which an event and its records were made, column by column."""
    dyad = stored.events[event.links[0].event]
    conflict = stored.events[dyad.links[0].event]
    sides = {participant.side: stored.actors[participant.actor] for participant in event.participants}
    (place,) = event.places
    start, end = event.time.edtf.split("/")
    by_population = {item.estimand.population: item.quantity for item in stored.estimates[event.name]}
    total = by_population[""]
    origin = [hop.description for hop in event.attribution if hop.description]
    row = {
        "id": published(expect_code(event.external_ids, "ucdp.ged")),
        "relid": expect_code(event.external_ids, "ucdp.relid"),
        "type_of_violence": published(expect_code(event.types, "ucdp.type_of_violence")),
        "conflict_dset_id": published(expect_code(conflict.labels, "ucdp.conflict_dset_id")),
        "conflict_new_id": published(expect_code(conflict.external_ids, "ucdp.conflict")),
        "conflict_name": conflict.title,
        "dyad_dset_id": published(expect_code(dyad.labels, "ucdp.dyad_dset_id")),
        "dyad_new_id": published(expect_code(dyad.external_ids, "ucdp.dyad")),
        "dyad_name": dyad.title,
        "source_original": origin[0] if origin else "",
        "where_prec": published(place.precision_code.removeprefix("ucdp.where_prec:")),
        "where_coordinates": place.display_name,
        "where_description": place.description,
        "adm_1": place.admin[0] if place.admin else "",
        "adm_2": place.admin[1] if len(place.admin) > 1 else "",
        "latitude": repr(place.latitude),
        "longitude": repr(place.longitude),
        "geom_wkt": place.geometry_wkt,
        "priogrid_gid": published(expect_code(place.external_ids, "priogrid")),
        "event_clarity": published(event.ratings[0].code.removeprefix("ucdp.event_clarity:")),
        "date_prec": published(event.time.precision_code.removeprefix("ucdp.date_prec:")),
        "date_start": start,
        "date_end": end,
        "best": repr(total.best),
        "high": repr(total.upper),
        "low": repr(total.lower),
    }
    for side, gwno in [("a", "gwnoa"), ("b", "gwnob")]:
        actor = sides[side]
        row[f"side_{side}"] = actor.display_name
        row[f"side_{side}_new_id"] = published(expect_code(actor.external_ids, "ucdp.actor"))
        row[f"side_{side}_dset_id"] = published(expect_code(actor.labels, "ucdp.actor_dset_id"))
        number = code_of(actor.labels, "ucdp.gwno")
        row[gwno] = published(number) if number else ""
    for column in METRICS:
        row[column] = repr(event.metrics[f"ucdp.{column}"])
    for column in LABELS:
        code = expect_code(event.labels, f"ucdp.{column}")
        row[column] = published(code) if column.endswith("_id") else code
    for column in KEPT_WHOLE:
        row[column] = event.annotations.get(f"ucdp.{column}", "")
    for column, population in POPULATIONS.items():
        row[column] = repr(by_population[f"ucdp.population:{population}"].best)
    return row
