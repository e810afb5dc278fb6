"""A connection to Annals with retries, and errors that a program can act on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import grpc
from annals.v1 import record_service_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

SERVICE_CONFIG = Path(__file__).parent.parent / "service_config.json"


def connect(address: str) -> record_service_pb2_grpc.RecordServiceStub:
    """Connects to the service at HOST:PORT. Transient errors are retried, and every unary call has a deadline."""
    options = [
        ("grpc.service_config", SERVICE_CONFIG.read_text(encoding="utf-8")),
        # Reconnect soon after the server was unavailable. By default the wait grows to two minutes.
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    return record_service_pb2_grpc.RecordServiceStub(grpc.insecure_channel(address, options=options))


@dataclass
class Failure:
    """An error with its details. Decide by `reason`, which is part of the contract. `message` is for people."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    # What is wrong with which field of the request.
    fields: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: grpc.RpcError) -> Failure:
        """Decodes an error that a call raised."""
        failure = cls(error.code(), error.details() or "")
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                failure.reason, failure.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                failure.fields = {violation.field: violation.description for violation in bad.field_violations}
        return failure
