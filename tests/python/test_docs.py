"""The documents agree with the contract, and their calls work. Copies are generated from the original or compared with it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from annals.v1 import record_service_pb2 as rs
from annals_client import REASONS, ROOT, Client
from conftest import Server
from test_grpcurl import GRPCURL, SEED, SHOWN_ADDRESS, with_readable_details

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


def test_the_service_config_retries_transient_errors_and_gives_no_stream_a_deadline() -> None:
    config = json.loads(SERVICE_CONFIG.read_text(encoding="utf-8"))
    transient = {code for reason in REASONS.values() if reason.retry for code in reason.codes}
    service = "annals.v1.RecordService"
    methods = rs.DESCRIPTOR.services_by_name["RecordService"].methods
    streams = [{"service": service, "method": m.name} for m in methods if m.server_streaming or m.client_streaming]
    unary, streaming = config["methodConfig"]
    assert unary["name"] == [{"service": service}] and "timeout" in unary
    assert sorted(map(str, streaming["name"])) == sorted(map(str, streams)) and "timeout" not in streaming
    assert all(set(each["retryPolicy"]["retryableStatusCodes"]) == transient for each in (unary, streaming))


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    anchors: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        anchors.add(next(a for a in (anchor, *(f"{anchor}-{n}" for n in range(1, 100))) if a not in anchors))
    return anchors


def test_links_and_anchors_exist() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name} links to {link}"
            assert not anchor or anchor in headings(target), f"{page.name} links to {link}#{anchor}"


def calls_of(text: str) -> list[tuple[str, str]]:
    """The grpcurl calls that a page shows, each with the answer below it."""
    calls = []
    for block in re.findall(r"^```console\n\$ (grpcurl .*?)^```$", text, re.DOTALL | re.MULTILINE):
        lines = block.splitlines(keepends=True)
        # The call ends with the first line that neither leaves a quotation open nor ends with a backslash.
        end = next(n for n in range(1, len(lines) + 1) if not lines[n - 1].endswith("\\\n") and is_whole("".join(lines[:n])))
        calls.append(("".join(lines[:end]).replace("\\\n", ""), "".join(lines[end:])))
    assert len(calls) == text.count("$ grpcurl")
    return calls


def is_whole(command: str) -> bool:
    """Whether a command leaves no quotation open."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def pattern(part: str) -> str:
    """Matches a part of an answer as a page shows it. `"..."` stands for any text, such as a time or a token."""
    return re.escape(part).replace(re.escape('"..."'), '"[^"]*"')


@pytest.mark.parametrize("name", ["README.md", "docs/tour.md", "docs/api.md"])
def test_calls_answer_as_the_page_shows(start_server: Callable[..., Server], name: str) -> None:
    # The calls of one page follow each other on one server, as a reader sends them.
    server = start_server()
    server.run("commit", str(SEED))
    calls = calls_of((ROOT / name).read_text(encoding="utf-8"))
    assert len(calls) >= 5
    for command, shown in calls:
        arguments = shlex.split(command.replace(SHOWN_ADDRESS, server.address))
        done = subprocess.run(
            [str(GRPCURL), *arguments[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        assert (done.returncode != 0) == shown.startswith("ERROR:"), f"{command}\n{done.stdout}"
        answer = with_readable_details(done.stdout) if done.returncode else done.stdout
        # The answer contains the parts between lines of "...", one after another.
        rest = answer
        for part in filter(None, re.split(r"^ *\.\.\.\n", shown, flags=re.MULTILINE)):
            found = re.search(pattern(part), rest)
            assert found, f"{command}\ndoes not answer\n{part}but\n{answer}"
            rest = rest[found.end() :]


def test_every_section_of_the_api_shows_a_call() -> None:
    sections = re.split(r"^## ", API.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections if not calls_of(section)] == []


def test_the_limits_are_those_of_the_server(start_server: Callable[..., Server]) -> None:
    page = API.read_text(encoding="utf-8")
    table = page[page.index("\n## Limits") : page.index("\n## Connecting")]
    documented = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w.]+)`", row)}
    client: Client = start_server().client
    assert documented == set(client.call("GetServerInfo").limits)
