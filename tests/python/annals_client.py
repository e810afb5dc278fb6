"""A small client of Annals for tests: mutations from dictionaries, calls, and errors with their details decoded.

It knows the contract (the generated messages and the comments of errors.proto), but not how the server is built.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from annals.v1 import errors_pb2, record_service_pb2_grpc, records_pb2
from annals.v1 import record_service_pb2 as rs
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

ROOT = Path(__file__).resolve().parents[2]

# Collection, its field in Record, and the message.
TYPES = {
    "sources": ("source", "Source"),
    "actors": ("actor", "Actor"),
    "events": ("event", "Event"),
    "claims": ("claim", "Claim"),
    "estimates": ("estimate", "Estimate"),
    "relations": ("relation", "Relation"),
}


# ------------------------------------------------------------------------------------------------ what errors.proto says


@dataclass(frozen=True)
class Reason:
    """One reason of errors.proto, as its comment documents it."""

    codes: frozenset[str]
    keys: frozenset[str]
    # Transient: sent with RetryInfo.
    retry: bool


def _read_reasons() -> dict[str, Reason]:
    """Reads codes and metadata keys from the comments of errors.proto, which are the documentation that users get."""
    text = (ROOT / "proto/annals/v1/errors.proto").read_text(encoding="utf-8")
    known_codes = {code.name for code in grpc.StatusCode}
    reasons: dict[str, Reason] = {}
    for match in re.finditer(r"((?:^ *//[^\n]*\n)+)^ *ERROR_REASON_(\w+) = \d+;", text, re.MULTILINE):
        comment = " ".join(line.strip().removeprefix("//").strip() for line in match[1].splitlines())
        keys = re.search(r"Keys: ([^.]*)\.", comment)
        names = re.sub(r"\([^)]*\)", "", keys[1]).split(",") if keys else []
        same = re.search(r"\bas ([A-Z_]+),", comment)
        if same:
            names += reasons[same[1]].keys
        reasons[match[2]] = Reason(
            codes=frozenset(word for word in re.findall(r"[A-Z_]{4,}", comment) if word in known_codes),
            keys=frozenset(name.strip() for name in names),
            retry="RetryInfo" in comment,
        )
    return reasons


REASONS = _read_reasons()


# ------------------------------------------------------------------------------------------------ errors


@dataclass
class Failure:
    """An error of the service, its details decoded."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    # Path and description of each BadRequest violation, in order.
    violations: list[tuple[str, str]] = field(default_factory=list)
    # Type, subject and description of each PreconditionFailure violation, in order.
    preconditions: list[tuple[str, str, str]] = field(default_factory=list)
    retry_after: float | None = None

    @property
    def paths(self) -> list[str]:
        """The field paths of the BadRequest, in order."""
        return [path for path, _ in self.violations]

    @property
    def subjects(self) -> list[str]:
        """The subjects of the PreconditionFailure, in order."""
        return [subject for _, subject, _ in self.preconditions]

    @classmethod
    def of(cls, error: grpc.RpcError) -> Failure:
        """Decodes an error and checks what docs/api.md and errors.proto say about every error."""
        failure = cls(code=error.code(), message=error.details() or "")
        status = rpc_status.from_call(error)
        infos = 0
        for packed in status.details if status else []:
            if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo()
                packed.Unpack(info)
                infos += 1
                assert info.domain == "annals", info
                failure.reason, failure.metadata = info.reason, dict(info.metadata)
            elif packed.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                bad = error_details_pb2.BadRequest()
                packed.Unpack(bad)
                failure.violations += [(v.field, v.description) for v in bad.field_violations]
            elif packed.Is(error_details_pb2.PreconditionFailure.DESCRIPTOR):
                failed = error_details_pb2.PreconditionFailure()
                packed.Unpack(failed)
                failure.preconditions += [(v.type, v.subject, v.description) for v in failed.violations]
            elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                retry = error_details_pb2.RetryInfo()
                packed.Unpack(retry)
                failure.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
            else:
                raise AssertionError(f"a detail that errors.proto does not list: {packed.type_url}")
        assert infos == 1, f"{infos} ErrorInfo in {failure}"
        failure.check()
        return failure

    def check(self) -> None:
        """Checks what holds for every error."""
        assert self.reason in REASONS, f"{self.reason} is not in errors.proto"
        documented = REASONS[self.reason]
        assert self.code.name in documented.codes, f"{self.reason} came as {self.code.name}: {self.message}"
        missing = documented.keys - self.metadata.keys()
        assert not missing, f"{self.reason} lacks the metadata {sorted(missing)}: {self.metadata}"
        # For people: some words that name the thing, without a full stop, so that another sentence can contain them.
        assert len(self.message.split()) > 2 and self.message[-1] not in ".!? ", f"not a message for people: {self.message!r}"
        if self.reason == "FIELD_INVALID":
            assert self.violations, f"no field violations: {self.message}"
            assert int(self.metadata["count"]) == len(self.violations), (self.metadata, self.violations)
            assert all(path and description for path, description in self.violations), self.violations
        if self.reason in ("REFERENCE_NOT_FOUND", "REVISION_MISMATCH"):
            assert self.preconditions, f"no precondition violations: {self.message}"
            assert all(kind == self.reason for kind, _, _ in self.preconditions), self.preconditions
        assert not documented.retry or self.retry_after is not None, f"{self.reason} without RetryInfo"


@contextmanager
def fails(reason: str, code: str | None = None) -> Iterator[Failure]:
    """Expects the body to fail with a reason, and returns the failure to the caller."""
    failure = Failure(grpc.StatusCode.OK, "")
    try:
        yield failure
    except grpc.RpcError as error:
        failure.__dict__.update(Failure.of(error).__dict__)
        assert failure.reason == reason, f"{failure.reason} instead of {reason}: {failure.message} {failure.violations}"
        assert code is None or failure.code.name == code, f"{failure.code.name} instead of {code}"
    else:
        raise AssertionError(f"succeeded instead of failing with {reason}")


# ------------------------------------------------------------------------------------------------ mutations


def mutation(op: str, label: str = "", **body: Any) -> rs.Mutation:
    """A Mutation from its JSON: mutation("delete", name="events/e1")."""
    value = {"label": label, op: body} if label else {op: body}
    return json_format.ParseDict(value, rs.Mutation())


def create(label: str = "", **record: Any) -> rs.Mutation:
    """create(event={"title": "A"}, label="e")"""
    return mutation("create", label, **record)


def update(fields: list[str] | None = None, if_revision: int = 0, label: str = "", **record: Any) -> rs.Mutation:
    """update(event={"name": "events/e1", "title": "B"}, fields=["title"])"""
    return mutation("update", label, record=record, update_fields=fields or [], if_revision=if_revision)


def upsert(fields: list[str] | None = None, create_only: bool = False, label: str = "", **record: Any) -> rs.Mutation:
    """upsert(event={"external_ids": ["x:1"], "title": "B"})"""
    return mutation("upsert", label, record=record, update_fields=fields or [], create_only=create_only)


def delete(name: str, if_revision: int = 0, allow_missing: bool = False) -> rs.Mutation:
    """A Delete."""
    return mutation("delete", name=name, if_revision=if_revision, allow_missing=allow_missing)


def undelete(name: str) -> rs.Mutation:
    """An Undelete."""
    return mutation("undelete", name=name)


def merge(name: str, into: str, if_revision: int = 0, if_into_revision: int = 0) -> rs.Mutation:
    """A Merge of `name` into `into`."""
    return mutation("merge", name=name, into=into, if_revision=if_revision, if_into_revision=if_into_revision)


def unmerge(name: str) -> rs.Mutation:
    """An Unmerge."""
    return mutation("unmerge", name=name)


# ------------------------------------------------------------------------------------------------ records in short


def claim(source: str, statement: str = "It happened.", **more: Any) -> dict[str, Any]:
    """The smallest valid claim, citing `source`."""
    base: dict[str, Any] = {
        "statement": statement,
        "kind": "CLAIM_KIND_FACT",
        "polarity": "POLARITY_AFFIRMED",
        "attribution": [{"description": "somebody", "role": "ATTRIBUTION_ROLE_ORIGIN"}],
        "citations": [{"source": source}],
    }
    return base | more


def estimate(claim_name: str, best: float | None = 10, **more: Any) -> dict[str, Any]:
    """The smallest valid estimate, said in `claim_name`."""
    quantity: dict[str, Any] = {"unit": "1"}
    if best is not None:
        quantity["best"] = best
    base: dict[str, Any] = {
        "claim": claim_name,
        "estimand": {"measure": "measure:troops"},
        "quantity": quantity,
        "aspect": "ASPECT_CUMULATIVE",
        "mode": "ESTIMATE_MODE_ESTIMATED",
        "origin": "ESTIMATE_ORIGIN_AS_REPORTED",
    }
    return base | more


def relation(kind: str, subject: str, object_: str, **more: Any) -> dict[str, Any]:
    """The smallest valid relation."""
    base: dict[str, Any] = {"kind": f"RELATION_KIND_{kind}", "subject": subject, "object": object_}
    return base | more


# ------------------------------------------------------------------------------------------------ calls


class Client:
    """Short forms of the calls of RecordService. `stub` has all of them in full."""

    def __init__(self, address: str) -> None:
        self.address = address
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
        # A separate connection.
        options.append(("grpc.use_local_subchannel_pool", 1))
        self.channel = grpc.insecure_channel(address, options=options)
        self.stub = record_service_pb2_grpc.RecordServiceStub(self.channel)

    def close(self) -> None:
        """Closes the channel."""
        self.channel.close()

    def commit(self, *mutations: rs.Mutation, request_id: str | None = None, **more: Any) -> rs.CommitResponse:
        """Commits mutations, under a new request id unless one is given."""
        request = rs.CommitRequest(request_id=str(uuid.uuid4()) if request_id is None else request_id, mutations=mutations)
        json_format.ParseDict(more, request)
        return self.stub.Commit(request, timeout=60)

    def create(self, **record: Any) -> str:
        """Creates one record and returns its name."""
        return self.commit(create(**record)).results[0].name

    def get(self, name: str, **more: Any) -> Any:
        """The record with that name, of any type."""
        return self.call("Get" + TYPES[name.split("/")[0]][1], name=name, **more)

    def call(self, method: str, **request: Any) -> Any:
        """Any unary call, with its request as JSON."""
        kind = rs.DESCRIPTOR.services_by_name["RecordService"].methods_by_name[method].input_type
        message = getattr(rs, kind.name)()
        return getattr(self.stub, method)(json_format.ParseDict(request, message), timeout=60)

    def page(self, collection: str, **request: Any) -> Any:
        """One page of a list."""
        return self.call("List" + TYPES[collection][1] + "s", **request)

    def pages(self, collection: str, **request: Any) -> Iterator[Any]:
        """Every page of a list."""
        token = ""
        while True:
            page = self.page(collection, **request, **({"page_token": token} if token else {}))
            yield page
            token = page.next_page_token
            if not token:
                return

    def list(self, collection: str, filter: str = "", **request: Any) -> list[Any]:
        """Every record that a list finds, through all its pages."""
        return [record for page in self.pages(collection, filter=filter, **request) for record in getattr(page, collection)]

    def names(self, collection: str, filter: str = "", **request: Any) -> list[str]:
        """The names that a list finds, in its order."""
        return [record.name for record in self.list(collection, filter, **request)]

    def head(self) -> int:
        """The newest revision."""
        return self.call("GetServerInfo").head_revision

    def history(self, name: str) -> list[rs.Change]:
        """Every change of a record, newest first."""
        changes: list[rs.Change] = []
        token = ""
        while True:
            page = self.call("ListRevisions", name=name, page_token=token)
            changes += page.changes
            token = page.next_page_token
            if not token:
                return changes


def kinds(response: rs.CommitResponse) -> list[str]:
    """What happened to each mutation's record: ["CREATED", "UNCHANGED"]."""
    return [rs.ChangeKind.Name(result.kind).removeprefix("CHANGE_KIND_") for result in response.results]


_serial = itertools.count(1)


def unique(prefix: str = "t") -> str:
    """An id that no other test uses: for names, labels and external ids."""
    return f"{prefix}-{next(_serial)}-{uuid.uuid4().hex[:8]}"


def inner(record: records_pb2.Record) -> Message:
    """The one record inside a Record."""
    return getattr(record, str(record.WhichOneof("record")))


def plain(message: Message) -> Mapping[str, Any]:
    """A message as JSON, with proto field names."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


assert errors_pb2.ErrorReason.keys()[1:] == [f"ERROR_REASON_{name}" for name in REASONS], "errors.proto was misread"
