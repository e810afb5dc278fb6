"""The programs of examples/python, run as docs/clients.md tells a user to, against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from annals.v1 import record_service_pb2 as rs
from annals.v1 import record_service_pb2_grpc
from annals_client import ROOT, Client, create
from conftest import Server

FOLDER = ROOT / "examples/python"


@pytest.fixture(scope="module", autouse=True)
def generated() -> None:
    """Generates the stubs as a user does."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run([str(FOLDER / "generate")], check=True, env=os.environ | {"PATH": path}, timeout=60)


def example(*arguments: str) -> str:
    """Runs a program to its end and returns what it prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_article_is_committed_once_and_its_claims_are_listed(fresh: Client) -> None:
    first, again = (example("article.py", fresh.address).splitlines() for _ in range(2))
    assert first[0] == "revision 1" and again[0] == "revision 1 (replayed)"
    assert [line.split("/")[0] for line in first[1:5]] == [
        f"  created {kind}" for kind in ("sources", "actors", "claims", "estimates")
    ]
    assert first[5:] == again[5:] and first[6:] == ["  Around 3,000 troops have been sent."]
    assert fresh.head() == 1
    (estimate,) = fresh.list("estimates")
    assert (estimate.quantity.best, estimate.estimand.measure) == (3000, "measure:troops_deployed")


def test_errors_can_be_distinguished(fresh: Client) -> None:
    lines = example("errors.py", fresh.address).splitlines()
    assert lines[0] == "INVALID_ARGUMENT FIELD_INVALID"
    assert {line.split(":")[0].strip() for line in lines[1:-1]} >= {"mutations[0].create.event.name"}
    assert lines[-1] == "NOT_FOUND RECORD_NOT_FOUND: there is no events/never-made yet"


def follow(address: str, state: Path, until: int) -> list[str]:
    """Runs follow.py until it has seen a revision, and returns its lines."""
    command = [sys.executable, "follow.py", str(state), address]
    process = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not state.exists() or int(state.read_text()) < until:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
    return process.communicate(timeout=10)[0].splitlines()


def test_following_resumes_where_it_stopped_also_after_the_server_was_unavailable(durable: Server, tmp_path: Path) -> None:
    state = tmp_path / "state"
    for number in range(3):
        durable.client.commit(create(event={"name": f"events/e{number}", "title": "A"}))
    assert follow(durable.address, state, 3) == [f"{n + 1}: created events/e{n}" for n in range(3)]
    durable.client.commit(create(event={"name": "events/e3", "title": "A"}))
    with ThreadPoolExecutor() as pool:
        rest = pool.submit(follow, durable.address, state, 5)
        while int(state.read_text()) < 4:
            time.sleep(0.02)
        durable.interrupt(1)
        durable.client.commit(create(event={"name": "events/e4", "title": "A"}))
        assert rest.result(timeout=90) == ["4: created events/e3", "5: created events/e4"]


@pytest.mark.parametrize("retries", [True, False])
def test_the_service_config_carries_calls_over_a_server_that_is_killed_and_away(durable: Server, retries: bool) -> None:
    config = (ROOT / "examples/service_config.json").read_text(encoding="utf-8") if retries else "{}"
    options = [("grpc.service_config", config), ("grpc.max_reconnect_backoff_ms", 1000), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(durable.address, options=options) as channel, ThreadPoolExecutor() as pool:
        stub = record_service_pb2_grpc.RecordServiceStub(channel)
        stub.GetServerInfo(rs.GetServerInfoRequest())
        interrupted = pool.submit(durable.interrupt, 2)
        failed, count, until = 0, 0, time.monotonic() + 5
        while time.monotonic() < until or not interrupted.done():
            try:
                mutation = create(event={"name": f"events/{retries}-{count}".lower(), "title": "A"})
                stub.Commit(rs.CommitRequest(request_id=f"{retries}-{count}", mutations=[mutation]))
            except grpc.RpcError:
                failed += 1
                time.sleep(0.1)
            count += 1
        interrupted.result()
    # Without the config, calls fail. This shows that the server was really unavailable.
    assert (failed == 0) == retries, f"{failed} of {count} calls failed"
    if retries:
        assert len(durable.client.names("events")) == count
