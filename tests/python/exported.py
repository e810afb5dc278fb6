"""A server and its exports, compared with the same records in proto3 JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ucdp
from annals_client import ROOT
from conftest import Server

SEED = ROOT / "tests/data/seed/commit.json"
UCDP = ROOT / "tests/data/ucdp/ged_23_1_sample.csv"


class Store:
    """A server and all its records by name."""

    def __init__(self, server: Server) -> None:
        self.server = server
        lines = self.export("records").splitlines()
        self.records = {record["name"]: record for record in map(json.loads, lines)}

    def export(self, form: str, *arguments: str) -> str:
        """What an export writes to standard output."""
        return self.server.run("export", "--format", form, *arguments).stdout

    def of(self, collection: str) -> dict[str, dict[str, Any]]:
        """The records of a collection, by name."""
        return {name: record for name, record in self.records.items() if name.startswith(f"{collection}/")}


def article_in(server: Server) -> Store:
    """The example article."""
    server.run("commit", str(SEED))
    return Store(server)


def data_set_in(server: Server) -> Store:
    """Rows of UCDP, which have external ids, labels, metrics and annotations."""
    for commit in ucdp.commits(ucdp.read(UCDP)[:25]):
        server.client.stub.Commit(commit, timeout=60)
    return Store(server)


# Both, by their names in tests.
STORES: dict[str, Callable[[Server], Store]] = {"article": article_in, "data set": data_set_in}
