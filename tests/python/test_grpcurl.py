"""The service through the real grpcurl: what a user types and what comes back, kept in docs/grpcurl-transcript.md.

ANNALS_UPDATE=1 writes the transcript. Otherwise the run must equal it. Placeholders replace times, generated ids, tokens and
the address in both, because they differ from run to run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from annals.v1 import errors_pb2
from annals.v1 import record_service_pb2 as rs
from annals_client import ROOT, Client
from conftest import Server

TRANSCRIPT = ROOT / "docs/grpcurl-transcript.md"
GRPCURL = Path(sys.executable).with_name("grpcurl")
SHOWN_ADDRESS = "localhost:50051"
SERVICE = "annals.v1.RecordService"
SEED = ROOT / "tests/data/seed/commit.json"

# Reasons that need time, force, other settings or a later feature. Other tests show them.
NOT_HERE = {
    "RECORD_ERASED": "needs an erased record",
    "WATCH_STALLED": "needs ten minutes",
    "REVISION_COMPACTED": "needs a compacted store",
    "REVISION_LOST": "needs a restored store",
    "STORE_CORRUPT": "needs damage on disk",
    "TOKEN_MISSING": "needs authentication",
    "TOKEN_INVALID": "needs authentication",
    "ROLE_REQUIRED": "needs authentication",
    "STORAGE_FULL": "needs a full disk",
    "STORE_POISONED": "needs a failing disk",
    "STORE_REBUILDING": "needs a store that is being rebuilt",
    "LOG_UNAVAILABLE": "needs a failing disk",
    "INTERNAL": "needs a bug",
}


@dataclass(frozen=True)
class Step:
    """One thing that a user does."""

    title: str
    method: str = ""
    data: dict | None = None
    arguments: tuple[str, ...] = ()
    # The reason with which the call fails. Empty if it succeeds.
    fails: str = ""
    shown: bool = True
    # Lines of output to show. The rest is cut.
    lines: int = 60
    says: tuple[str, ...] = field(default=())


def commit(request_id: str, *mutations: dict, **more: object) -> dict:
    """A CommitRequest."""
    return {"request_id": request_id, "mutations": list(mutations)} | more


def event(**more: object) -> dict:
    """The creation of an event."""
    return {"create": {"event": {"title": "An event"} | more}}


NIS_SAID = 'attribution.actors = "actors/nis"'

STEPS = [
    Step("The services of a server", arguments=("list",), says=("annals.v1.RecordService", "grpc.health.v1.Health")),
    Step("The methods of a service", arguments=("list", SERVICE), says=("Commit", "ListClaims")),
    Step(
        "What a method does, with an example call",
        arguments=("describe", f"{SERVICE}.GetEvent"),
        says=("One event by name", "grpcurl -plaintext"),
    ),
    Step("The fields of a message", arguments=("describe", "annals.v1.TextSpan"), says=("code points", "uint32 start = 1")),
    Step("The reasons of errors", arguments=("describe", "annals.v1.ErrorReason"), says=("REVISION_MISMATCH",), lines=20),
    Step("Information about the server", "GetServerInfo", says=('"headRevision": "1"', '"claims": "30"'), lines=80),
    Step("One event", "GetEvent", {"name": "events/troop-deployment"}, says=("events/troop-deployment",)),
    Step(
        "What the intelligence service said, two claims on a page",
        "ListClaims",
        {"filter": NIS_SAID, "page_size": 2},
        says=("claims/", "actors/nis", "nextPageToken"),
    ),
    Step(
        "Write: a source, an actor and what it said, in one call",
        "Commit",
        commit(
            "tour-1",
            {"label": "page", "create": {"source": {"title": "A statement", "text": "We did not send anyone."}}},
            {
                "label": "ministry",
                "upsert": {"record": {"actor": {"display_name": "A ministry", "external_ids": ["example:ministry"]}}},
            },
            {
                "create": {
                    "claim": {
                        "name": "claims/denial",
                        "statement": "No troops were sent.",
                        "kind": "CLAIM_KIND_DENIAL",
                        "polarity": "POLARITY_NEGATED",
                        "attribution": [{"actors": ["@ministry"], "role": "ATTRIBUTION_ROLE_ORIGIN"}],
                        "citations": [{"source": "@page", "span": {"start": 0, "end": 22}, "quote": "We did not send anyone"}],
                    }
                }
            },
        ),
        says=('"revision": "2"', "CHANGE_KIND_CREATED"),
    ),
    Step("And read it back", "GetClaim", {"name": "claims/denial"}, says=("CLAIM_KIND_DENIAL",)),
    Step(
        "A correction, if nobody else has changed the record",
        "Commit",
        commit(
            "tour-2",
            {
                "update": {
                    "record": {"claim": {"name": "claims/denial", "statement": "The ministry sent no troops."}},
                    "if_revision": 2,
                }
            },
        ),
        says=("CHANGE_KIND_UPDATED",),
    ),
    Step(
        "The claim as it was before",
        "GetClaim",
        {"name": "claims/denial", "as_of_revision": 2},
        says=("No troops were sent.",),
    ),
    Step(
        "Its history", "ListRevisions", {"name": "claims/denial"}, says=("CHANGE_KIND_UPDATED", "CHANGE_KIND_CREATED"), lines=95
    ),
    Step(
        "Several records at once, one of them missing",
        "BatchGetRecords",
        {"names": ["actors/nis", "actors/nobody"], "allow_missing": True},
        says=('"missing"', "National Intelligence Service"),
    ),
    Step(
        "Every commit after a revision; without stop_at_head the stream stays open",
        "Watch",
        {"after_revision": 2, "stop_at_head": True},
        says=('"opened": true', "tour-2"),
    ),
]

# Creates the records for the errors below.
PREPARATION = commit(
    "prepare",
    {"create": {"event": {"name": "events/one", "title": "One", "external_ids": ["example:1"]}}},
    {"create": {"event": {"name": "events/two", "title": "Two", "external_ids": ["example:2"]}}},
    {"create": {"event": {"name": "events/gone", "title": "Gone"}}},
    {"create": {"event": {"name": "events/old", "title": "Old"}}},
    {"create": {"actor": {"name": "actors/a", "display_name": "A"}}},
    {"create": {"actor": {"name": "actors/b", "display_name": "B"}}},
    {
        "create": {
            "relation": {
                "name": "relations/not-same",
                "kind": "RELATION_KIND_NOT_SAME_AS",
                "subject": "actors/a",
                "object": "actors/b",
            }
        }
    },
)

ERRORS = [
    Step("", "Commit", PREPARATION, shown=False),
    Step(
        "",
        "Commit",
        commit("prepare-2", {"delete": {"name": "events/gone"}}, {"merge": {"name": "events/old", "into": "events/one"}}),
        shown=False,
    ),
    Step(
        "Fields that violate their rules, all reported at once",
        "Commit",
        commit(
            "e-1",
            event(title=""),
            event(places=[{"latitude": 91, "longitude": 0}], types=["no scheme"]),
        ),
        fails="FIELD_INVALID",
    ),
    Step("A commit without a request id", "Commit", {"mutations": [event()]}, fails="REQUEST_ID_MISSING"),
    Step("A filter on an unknown field", "ListEvents", {"filter": 'titel = "x"'}, fails="FILTER_INVALID"),
    Step(
        "A filter that mixes AND and OR",
        "ListEvents",
        {"filter": 'title = "a" AND title = "b" OR title = "c"'},
        fails="FILTER_INVALID",
    ),
    Step("An order by a field with many values", "ListEvents", {"order_by": "types"}, fails="ORDER_BY_INVALID"),
    Step("A damaged page token", "ListEvents", {"page_token": "not-a-token"}, fails="PAGE_TOKEN_INVALID"),
    Step(
        "A page token with another filter",
        "ListClaims",
        {"filter": "", "page_size": 2, "page_token": "TOKEN"},
        fails="PAGE_TOKEN_MISMATCH",
    ),
    Step(
        "More names than a batch may have",
        "BatchGetRecords",
        {"names": [f"events/{n}" for n in range(1001)]},
        fails="LIMIT_EXCEEDED",
    ),
    Step(
        "One record named by two mutations",
        "Commit",
        commit("e-2", {"delete": {"name": "events/two"}}, {"delete": {"name": "events/two"}}),
        fails="DUPLICATE_MUTATION",
    ),
    Step(
        "A reference to a label that no mutation has",
        "Commit",
        commit("e-3", event(participants=[{"actor": "@nobody"}])),
        fails="LABEL_UNKNOWN",
    ),
    Step("A record that never existed", "GetEvent", {"name": "events/never"}, fails="RECORD_NOT_FOUND"),
    Step("A record that was deleted", "GetEvent", {"name": "events/gone"}, fails="RECORD_DELETED"),
    Step(
        "A record that was merged into another",
        "GetEvent",
        {"name": "events/old", "no_redirect": True},
        fails="RECORD_REDIRECTED",
    ),
    Step("A name that is in use", "Commit", commit("e-4", event(name="events/one")), fails="NAME_TAKEN"),
    Step(
        "An external id that is in use",
        "Commit",
        commit("e-5", event(external_ids=["example:1"])),
        fails="EXTERNAL_ID_TAKEN",
    ),
    Step(
        "References to missing records",
        "Commit",
        commit("e-6", event(participants=[{"actor": "actors/never"}, {"actor": "events/one"}])),
        fails="REFERENCE_NOT_FOUND",
    ),
    Step(
        "The delete of a record that other records refer to",
        "Commit",
        commit("e-7", {"delete": {"name": "actors/a"}}),
        fails="REFERENCED",
    ),
    Step(
        "An upsert that matches two records",
        "Commit",
        commit("e-8", {"upsert": {"record": {"event": {"title": "X", "external_ids": ["example:1", "example:2"]}}}}),
        fails="UPSERT_AMBIGUOUS",
    ),
    Step(
        "A request id that has committed something else",
        "Commit",
        commit("tour-1", event()),
        fails="REQUEST_ID_REUSED",
    ),
    Step(
        "A merge of two records that a relation marks as not the same",
        "Commit",
        commit("e-9", {"merge": {"name": "actors/a", "into": "actors/b"}}),
        fails="MERGE_VETOED",
    ),
    Step(
        "An update of a record that has changed since it was read",
        "Commit",
        commit("e-10", {"update": {"record": {"claim": {"name": "claims/denial", "topic": "denial"}}, "if_revision": 2}}),
        fails="REVISION_MISMATCH",
    ),
    Step("A revision that does not exist yet", "GetCommit", {"revision": 1000000}, fails="REVISION_IN_FUTURE"),
]


# Checking a whole article takes longer than one millisecond, which is all that this server gives a call.
LATE = Step(
    "A call that takes longer than the server or the caller's deadline allows",
    "Commit",
    json.loads(SEED.read_text(encoding="utf-8")) | {"request_id": "late", "validate_only": True},
    fails="DEADLINE",
)
ONE_TOO_MANY = Step("More watches than the server allows", "Watch", {}, fails="TOO_MANY_WATCHES")
OVERLOAD = Step("More concurrent calls than the server allows", "GetServerInfo", {}, fails="TOO_MANY_REQUESTS")
STOPPED = Step("A watch when the server shuts down", "Watch", {"after_revision": 0}, fails="SHUTTING_DOWN")


class Session:
    """Runs steps against one server and records what a user would see."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.text: list[str] = []
        self.page_token = ""

    def run(self, step: Step) -> None:
        """Runs a step, checks what it answers and keeps it for the transcript."""
        data = step.data
        if data and data.get("page_token") == "TOKEN":
            data = data | {"page_token": self.page_token}
        process = self.start(step, data)
        output, _ = process.communicate(timeout=60)
        self.keep(step, data, process.returncode, output)

    def start(self, step: Step, data: dict | None) -> subprocess.Popen[str]:
        """Starts grpcurl as a user would."""
        command = [str(GRPCURL), "-plaintext"]
        if step.method:
            command += ["-d", json.dumps(data or {}, ensure_ascii=False)]
        command.append(self.server.address)
        command += [f"{SERVICE}/{step.method}"] if step.method else step.arguments
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def keep(self, step: Step, data: dict | None, code: int, output: str) -> None:
        """Checks the answer to a step and records it."""
        assert (code != 0) == bool(step.fails), output
        for words in step.says:
            assert words in output, f"{words!r} is not in\n{output}"
        if step.fails:
            output = self.check_error(step, output)
        elif token := re.search(r'"nextPageToken": "([^"]+)"', output):
            self.page_token = token[1]
        if step.shown:
            self.write(step, data, output)

    @staticmethod
    def check_error(step: Step, output: str) -> str:
        """Checks that grpcurl has decoded the details, and prints each over several lines."""
        decoded = details_of(output)
        infos = [detail for detail in decoded if detail["@type"].endswith("/google.rpc.ErrorInfo")]
        assert [info["reason"] for info in infos] == [step.fails], output
        assert infos[0]["domain"] == "annals"
        assert all("value" not in detail for detail in decoded), "not decoded: the type is not in the server's reflection"
        return with_readable_details(output).rstrip()

    def write(self, step: Step, data: dict | None, output: str) -> None:
        """Adds a step to the transcript."""
        command = "grpcurl -plaintext"
        if data:
            body = json.dumps(data, ensure_ascii=False)
            if len(body) > 2000:
                body = body[:60] + " ... " + body[-40:]
            command += f" -d {shlex.quote(body)}"
        command += f" {SHOWN_ADDRESS} " + (f"{SERVICE}/{step.method}" if step.method else " ".join(step.arguments))
        lines = output.rstrip().splitlines()
        # Cut only if this hides more than a few lines.
        if len(lines) > step.lines + 10:
            lines = [*lines[: step.lines], f"... {len(lines) - step.lines} more lines"]
        title = f"{step.title} ({step.fails})" if step.fails else step.title
        self.text += [f"### {title}", "", "```console", f"$ {command}", *lines, "```", ""]


def details_of(output: str) -> list[dict]:
    """The details of an error, which grpcurl prints as JSON on one line each."""
    return [json.loads(detail) for detail in re.findall(r"^ +\d+\)\s+(\{.*\})$", output, re.MULTILINE)]


def with_readable_details(output: str) -> str:
    """An error as grpcurl prints it, with each detail over several lines."""
    head = output.split("  Details:")[0].rstrip()
    shown = [json.dumps(detail, ensure_ascii=False, indent=2, sort_keys=True) for detail in details_of(output)]
    return "\n".join([head, "  Details:", *shown]) + "\n"


def normalised(text: str) -> str:
    """A transcript without the parts that differ from run to run."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z", "<time>", text)
    text = re.sub(r"\b[0-9a-hjkmnp-tv-z]{26}\b", "<ulid>", text)
    text = re.sub(r'("(?:storeId|version)": )"[^"]+"', r'\1"<...>"', text)
    text = re.sub(r'("(?:nextPageToken|page_token)": )"[\w=+/-]{24,}"', r'\1"<token>"', text)
    return re.sub(r"127\.0\.0\.1:\d+", SHOWN_ADDRESS, text)


@pytest.fixture
def session(start_server: Callable[..., Server]) -> Session:
    """A session with a fresh server that holds the seed."""
    server = start_server()
    server.run("commit", str(SEED))
    return Session(server)


def test_grpcurl_is_the_real_one() -> None:
    done = subprocess.run([str(GRPCURL), "-version"], capture_output=True, text=True, timeout=60)
    assert "1.8.6" in done.stdout + done.stderr


def test_every_reason_is_shown_or_has_a_reason_not_to_be() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    shown = {step.fails for step in [*ERRORS, LATE, ONE_TOO_MANY, OVERLOAD, STOPPED] if step.fails}
    assert shown | set(NOT_HERE) == reasons
    assert not shown & set(NOT_HERE)


def errors_of_busy_servers(session: Session, start_server: Callable[..., Server]) -> None:
    """Causes the errors of servers with little time or space, and of a server that shuts down."""
    session.server = start_server(environment={"ANNALS_RPC__CALL_TIME_MAX": "1ms"})
    session.run(LATE)

    session.server = start_server()
    limits = session.server.client.call("GetServerInfo").limits
    # Without authentication, a connection is a caller.
    connections = [Client(session.server.address) for _ in range(limits["watches"] // limits["watches.caller"])]
    watches = []
    for other in connections:
        # Opened one connection after another, because the number of waiting reads is limited.
        opened = [other.stub.Watch(rs.WatchRequest()) for _ in range(limits["watches.caller"])]
        assert all(next(watch).checkpoint.opened for watch in opened)
        watches += opened
    session.run(ONE_TOO_MANY)
    for other in connections:
        other.close()

    # One call is the watch, the other is grpcurl's reflection call.
    session.server = start_server(environment={"ANNALS_RPC__CALLS_MAX": "2"})
    watch = session.server.client.stub.Watch(rs.WatchRequest())
    assert next(watch).checkpoint.opened
    session.run(OVERLOAD)
    watch.cancel()

    session.server = start_server()
    process = session.start(STOPPED, STOPPED.data)
    assert process.stdout
    said = [process.stdout.readline()]
    while '"storeId"' not in said[-1]:
        said.append(process.stdout.readline())
        assert said[-1], "".join(said)
    session.server.stop()
    said.append(process.stdout.read())
    session.keep(STOPPED, STOPPED.data, process.wait(timeout=60), "".join(said))


def test_every_method_of_the_contract_has_an_example_that_works(session: Session) -> None:
    # In the order of the contract, on a separate server, because the commits would change the transcript.
    text = (ROOT / "proto/annals/v1/record_service.proto").read_text(encoding="utf-8")
    examples = dict(re.findall(r"^  //   (grpcurl [^\n]*)\n  rpc (\w+)\(", text, re.MULTILINE))
    methods = [method.name for method in rs.DESCRIPTOR.services_by_name["RecordService"].methods]
    assert list(examples.values()) == methods
    for example, method in examples.items():
        assert example.endswith(f" {SHOWN_ADDRESS} {SERVICE}/{method}"), example
        command = shlex.split(example.replace(SHOWN_ADDRESS, session.server.address))
        done = subprocess.run([str(GRPCURL), *command[1:]], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{example}\n{done.stdout}{done.stderr}"
        if method.startswith("List") or method in ("Export", "Watch"):
            assert '"name"' in done.stdout, f"{example} finds nothing\n{done.stdout}"


def test_the_transcript_is_what_users_see(session: Session, start_server: Callable[..., Server]) -> None:
    session.text = [
        "# Annals through grpcurl",
        "",
        "What a user types and what comes back, from a fresh server that holds the example of the README (`./run`). `<...>`",
        "replaces times, tokens and names that the server chose. grpcurl prints each detail of an error on one line; here it",
        "has several lines.",
        "",
        "<!-- Made by `ANNALS_UPDATE=1 ./test -k transcript` and compared in every run: do not edit it by hand. -->",
        "",
        "## A tour",
        "",
    ]
    for step in STEPS:
        session.run(step)
    session.text += ["## Errors", "", "Every error has one `google.rpc.ErrorInfo`. Its reasons are in `errors.proto`.", ""]
    for step in ERRORS:
        session.run(step)
    errors_of_busy_servers(session, start_server)
    transcript = normalised("\n".join(session.text).rstrip() + "\n")
    if os.environ.get("ANNALS_UPDATE"):
        TRANSCRIPT.write_text(transcript, encoding="utf-8")
    assert TRANSCRIPT.read_text(encoding="utf-8") == transcript
