"""Servers for tests: the real binary on a free port of the loopback interface, stopped with SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import grpc
import pytest
from annals_client import ROOT, Client
from grpc_health.v1 import health_pb2, health_pb2_grpc

BINARY = Path(os.environ.get("ANNALS_BINARY", ROOT / "target/debug/annals"))


class Server:
    """One running server. Its log is shown when a test that uses it fails."""

    def __init__(self, log: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.arguments = arguments
        self.environment = os.environ | dict(environment or {})
        self.log = log
        self.start()

    def start(self) -> None:
        """Starts the process and waits until it reports itself healthy."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.launch()

    def launch(self) -> None:
        """Starts the process on its address."""
        with self.log.open("ab") as log:
            command = [str(BINARY), "serve", "--listen", self.address, *self.arguments]
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment
            )
        deadline = time.monotonic() + 30
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    request = health_pb2.HealthCheckRequest(service="annals.v1.RecordService")
                    if health.Check(request, timeout=1).status == health_pb2.HealthCheckResponse.SERVING:
                        break
                except grpc.RpcError:
                    pass
                assert self.process.poll() is None, f"the server ended at once:\n{self.log.read_text()}"
                assert time.monotonic() < deadline, f"the server did not become healthy:\n{self.log.read_text()}"
                time.sleep(0.02)
        self.client = Client(self.address)

    def stop(self) -> None:
        """Asks the process to end, and expects a graceful shutdown."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=30) == 0, self.log.read_text()

    def restart(self) -> None:
        """Restarts it on the same data, on another port."""
        self.stop()
        self.start()

    def interrupt(self, seconds: float) -> None:
        """Kills it, and restarts it a while later on the same data and address."""
        self.client.close()
        self.process.kill()
        self.process.wait(timeout=30)
        time.sleep(seconds)
        self.launch()

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command of the binary against this server."""
        return annals(*arguments, "--server", f"http://{self.address}", check=check)


def annals(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command of the binary."""
    done = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def binary() -> Path:
    """The binary under test, which ./test has built."""
    assert BINARY.exists(), f"{BINARY} is missing: run ./test, or cargo build"
    return BINARY


@pytest.fixture(scope="session")
def start_server(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers, in memory unless a data folder is given, and stops those that still run."""
    servers: list[Server] = []

    def start(data: Path | None = None, *arguments: str, environment: Mapping[str, str] | None = None) -> Server:
        where = ["--data", str(data)] if data else ["--in-memory"]
        server = Server(tmp_path_factory.mktemp("server") / "log", *where, *arguments, environment=environment)
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    """A server in memory that the tests of one file share. Each test uses its own names."""
    return start_server()


@pytest.fixture
def client(server: Server) -> Client:
    """A client of the shared server."""
    return server.client


@pytest.fixture
def fresh(start_server: Callable[..., Server]) -> Iterator[Client]:
    """A client of a server in memory that no other test has written to."""
    server = start_server()
    yield server.client
    server.stop()


@pytest.fixture
def durable(start_server: Callable[..., Server], tmp_path: Path) -> Iterator[Server]:
    """A server on its own data folder, for tests that restart it."""
    server = start_server(tmp_path / "data")
    yield server
    server.stop()
