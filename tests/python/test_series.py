"""Import of series through the command line: every published number is in the store. Reads files only with json and csv."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from annals.v1 import values_pb2 as values
from annals_client import ROOT
from conftest import Server

MAPPINGS = ROOT / "examples/mappings"
LOSSES = ROOT / "tests/data/ukraine/personnel.json.gz"
FORECASTS = ROOT / "tests/data/forecasts/flusight_2022-12-12_psi-dice.csv.gz"


def import_series(server: Server, mapping: str, *files: Path, check: bool = True) -> str:
    """Runs the import and returns its report."""
    names = [str(file) for file in files]
    return server.run("import", "series", "--mapping", str(MAPPINGS / mapping), *names, check=check).stderr


@pytest.fixture(scope="module")
def imported(server: Server) -> Server:
    """A server that holds both series."""
    import_series(server, "ukraine-personnel.toml", LOSSES)
    import_series(server, "flusight.toml", FORECASTS)
    return server


def test_every_day_of_losses_is_a_point_with_its_marker(imported: Server) -> None:
    published = json.loads(gzip.decompress(LOSSES.read_bytes()))
    assert len(published) == 1626
    stored = imported.client.list("estimates", 'estimand.measure = "measure:personnel_losses"', page_size=1000)
    points = {estimate.reference_time.edtf: estimate for estimate in stored}
    assert len(stored) == len(points) == 1626
    for row in published:
        point = points[row["date"]]
        quantity = point.quantity
        assert point.metrics["ukraine-war.day"] == row["day"]
        match row["personnel*"]:
            case "about":
                assert (quantity.best, quantity.approximation) == (row["personnel"], values.APPROXIMATION_ABOUT)
                assert not quantity.HasField("lower")
            case "more":
                assert (quantity.lower, quantity.lower_exclusive) == (row["personnel"], True)
                assert not quantity.HasField("best")
            case marker:
                pytest.fail(f"a marker that nobody knows: {marker}")


def test_prisoners_are_reported_as_long_as_they_were_published(imported: Server) -> None:
    published = {row["date"]: row["POW"] for row in json.loads(gzip.decompress(LOSSES.read_bytes())) if "POW" in row}
    stored = imported.client.list("estimates", 'estimand.measure = "measure:prisoners_of_war"', page_size=1000)
    assert {estimate.as_of.edtf: estimate.quantity.best for estimate in stored} == published


def test_every_forecast_has_its_quantiles_and_its_target(imported: Server) -> None:
    with gzip.open(FORECASTS, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5184
    published = defaultdict(dict)
    for row in rows:
        forecast = (row["forecast_date"], row["target"], row["target_end_date"], row["location"])
        published[forecast][row["quantile"]] = float(row["value"])
    stored = {}
    for estimate in imported.client.list("estimates", "mode = ESTIMATE_MODE_PROJECTED", page_size=1000):
        place = estimate.estimand.place
        location = "US" if place == "USA" else place.removeprefix("fips:")
        time = estimate.reference_time
        levels = [quantile.p for quantile in estimate.quantity.quantiles]
        assert levels == sorted(set(levels))
        quantiles = {f"{quantile.p:g}": quantile.value for quantile in estimate.quantity.quantiles}
        stored[estimate.as_of.edtf, time.verbatim, time.edtf, location] = quantiles | {"NA": estimate.quantity.best}
    assert stored == published


def test_importing_again_changes_nothing(imported: Server) -> None:
    head = imported.client.head()
    for mapping, file in [("ukraine-personnel.toml", LOSSES), ("flusight.toml", FORECASTS)]:
        # Against the store, not against earlier receipts.
        imported.run("import", "series", "--mapping", str(MAPPINGS / mapping), "--again", str(file))
    assert imported.client.head() == head


def test_bad_rows_are_reported_by_number_and_the_rest_is_imported(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server()
    good = {"date": "2030-01-01", "day": 1, "personnel": 1, "personnel*": "about"}
    bad = [good | {"date": "2030-01-02", "personnel": "many"}, good | {"date": "2030-01-03", "personnel*": "less"}]
    file = tmp_path / "some.json"
    file.write_text(json.dumps([*bad, good]), encoding="utf-8")
    said = import_series(server, "ukraine-personnel.toml", file, check=False)
    assert 'row 1: personnel: "many" is not a number' in said
    assert 'row 2: estimate: no case matches this row, in which personnel* is "less"' in said
    (there,) = server.client.list("estimates")
    assert there.quantity.best == 1


def test_an_invalid_mapping_is_reported_by_line_and_field(imported: Server, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[file]\nformat = "csv"\n[[estimate]]\nname = "estimates/{day}"\nmode = "GUESSED"\n', encoding="utf-8")
    done = imported.run("import", "series", "--mapping", str(mapping), str(LOSSES), check=False)
    assert done.returncode != 0
    assert 'line 5, estimate[0].mode: "GUESSED" is not one of COUNTED' in done.stderr


def test_fact_checks_come_in_whatever_shape_they_have(imported: Server) -> None:
    folder = ROOT / "tests/data/claimreview"
    files = [str(folder / name) for name in ("page.json", "graph.json", "array.json", "feed.json")]
    imported.run("import", "claimreview", *files)
    verdicts = imported.client.list("claims", "kind = CLAIM_KIND_VERDICT")
    rates = imported.client.list("relations", "kind = RELATION_KIND_RATES")
    assert len(verdicts) == len(rates) == 9
    assert {verdict.about[0] for verdict in verdicts} == {rating.object for rating in rates}
    head = imported.client.head()
    imported.run("import", "claimreview", "--again", *files)
    assert imported.client.head() == head
