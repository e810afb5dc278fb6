"""The documents say what the contract says: what is a copy of something else is made from it, or compared with it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable

from annals.v1 import record_service_pb2 as rs
from annals_client import REASONS, ROOT, Client
from conftest import Server
from test_grpcurl import GRPCURL, SEED, SHOWN_ADDRESS

API = ROOT / "docs/api.md"
SERVICE_CONFIG = ROOT / "examples/service_config.json"
BEGIN, END = re.compile(r"<!-- errors: begin [^>]*-->\n"), "<!-- errors: end -->"


def reasons_table() -> str:
    """Every reason of errors.proto with its comment, as a table."""
    text = (ROOT / "proto/annals/v1/errors.proto").read_text(encoding="utf-8")
    lines = ["| reason | code, and when |", "|--|--|"]
    for match in re.finditer(r"((?:^ *//[^\n]*\n)+)^ *ERROR_REASON_(\w+) = \d+;", text, re.MULTILINE):
        comment = " ".join(line.strip().removeprefix("//").strip() for line in match[1].splitlines())
        lines.append(f"| `{match[2]}` | {comment} |")
    assert len(lines) == len(REASONS) + 2
    return "\n".join(lines) + "\n"


def test_the_table_of_reasons_is_that_of_the_contract() -> None:
    page = API.read_text(encoding="utf-8")
    begin = BEGIN.search(page)
    assert begin
    wanted = page[: begin.end()] + reasons_table() + page[page.index(END) :]
    if os.environ.get("ANNALS_UPDATE"):
        API.write_text(wanted, encoding="utf-8")
    else:
        assert page == wanted, "run ANNALS_UPDATE=1 ./test -k reasons"


def test_the_service_config_is_that_of_the_examples() -> None:
    shown = re.findall(r"```json\n(.*?)```", (ROOT / "docs/clients.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown == [SERVICE_CONFIG.read_text(encoding="utf-8")]


def test_the_service_config_retries_what_passes_by_itself_and_gives_no_stream_a_deadline() -> None:
    config = json.loads(SERVICE_CONFIG.read_text(encoding="utf-8"))
    passing = {code for reason in REASONS.values() if reason.retry for code in reason.codes}
    service = "annals.v1.RecordService"
    methods = rs.DESCRIPTOR.services_by_name["RecordService"].methods
    streams = [{"service": service, "method": m.name} for m in methods if m.server_streaming or m.client_streaming]
    unary, streaming = config["methodConfig"]
    assert unary["name"] == [{"service": service}] and "timeout" in unary
    assert sorted(map(str, streaming["name"])) == sorted(map(str, streams)) and "timeout" not in streaming
    assert all(set(each["retryPolicy"]["retryableStatusCodes"]) == passing for each in (unary, streaming))


def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_tour_of_the_readme_answers_as_it_says(start_server: Callable[..., Server]) -> None:
    server = start_server()
    server.run("commit", str(SEED))
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = page[page.index("## Five minutes") : page.index("## The command line")]
    steps = re.findall(r"```console\n\$ (grpcurl .*?/\w+)\n(.*?)```", tour, re.DOTALL)
    assert len(steps) == tour.count("```console")
    for command, shown in steps:
        arguments = shlex.split(command.replace("\\\n", "").replace(SHOWN_ADDRESS, server.address))
        done = subprocess.run([str(GRPCURL), *arguments[1:]], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        # Each piece between two "..." stands in the answer as it is, one after the other.
        rest = done.stdout
        for piece in filter(None, re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)):
            _, found, rest = rest.partition(piece)
            assert found == piece, f"{command}\ndoes not answer\n{piece}but\n{done.stdout}"


def test_the_limits_are_those_of_the_server(start_server: Callable[..., Server]) -> None:
    page = API.read_text(encoding="utf-8")
    table = page[page.index("\n## Limits") : page.index("\n## Connecting")]
    documented = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w.]+)`", row)}
    client: Client = start_server().client
    assert documented == set(client.call("GetServerInfo").limits)
