"""Commits a news article with its claim and estimate, and lists what a ministry has claimed.

python article.py [HOST:PORT]
"""

from __future__ import annotations

import sys

from annals.v1 import record_service_pb2 as rs
from annals.v1 import records_pb2 as records
from annals.v1 import values_pb2 as values
from connect import connect

TEXT = "The ministry said on Monday that around 3,000 troops had been sent."


def article() -> rs.CommitRequest:
    """Everything in one call, which is applied whole or not at all. Records refer to each other by label."""
    source = records.Source(kind=records.SOURCE_KIND_NEWS_ARTICLE, title="Troops sent, ministry says", text=TEXT)
    # Found by its external id, or created. There is no need to read first.
    ministry = records.Actor(display_name="Ministry of Defence", external_ids=["example:ministry-of-defence"])
    claim = records.Claim(
        statement="Around 3,000 troops have been sent.",
        kind=records.CLAIM_KIND_FACT,
        polarity=records.POLARITY_AFFIRMED,
        attribution=[values.Attribution(actors=["@ministry"], role=values.ATTRIBUTION_ROLE_ORIGIN, cue="said")],
        citations=[values.Citation(source="@page", quote="around 3,000 troops had been sent")],
    )
    estimate = records.Estimate(
        claim="@said",
        estimand=records.Estimand(measure="measure:troops_deployed"),
        quantity=values.Quantity(unit="1", best=3000, approximation=values.APPROXIMATION_ABOUT),
        aspect=records.ASPECT_CUMULATIVE,
        mode=records.ESTIMATE_MODE_ESTIMATED,
        origin=records.ESTIMATE_ORIGIN_AS_REPORTED,
    )
    return rs.CommitRequest(
        # The id identifies the article, not this attempt. Sent again, the call gets the same answer and writes nothing.
        request_id="example:python:article-1",
        mutations=[
            rs.Mutation(label="page", create=records.Record(source=source)),
            rs.Mutation(label="ministry", upsert=rs.Upsert(record=records.Record(actor=ministry))),
            rs.Mutation(label="said", create=records.Record(claim=claim)),
            rs.Mutation(create=records.Record(estimate=estimate)),
        ],
    )


def main(address: str) -> None:
    """Runs the example."""
    annals = connect(address)

    done = annals.Commit(article())
    print(f"revision {done.revision}{' (replayed)' if done.replayed else ''}")
    for result in done.results:
        print(f"  {rs.ChangeKind.Name(result.kind).removeprefix('CHANGE_KIND_').lower()} {result.name}")

    ministry = done.results[1].name
    page = annals.ListClaims(rs.ListRecordsRequest(filter=f'attribution:(role = ORIGIN AND actors:"{ministry}")'))
    print(f"{ministry} has claimed, as of revision {page.revision}:")
    for claim in page.claims:
        print(f"  {claim.statement}")
    # The next page, if there is one: the same request with page_token=page.next_page_token.


if __name__ == "__main__":
    main(*sys.argv[1:] or ["localhost:50051"])
