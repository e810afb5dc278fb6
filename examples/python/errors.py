"""Makes mistakes, and shows how to act on the errors.

python errors.py [HOST:PORT]
"""

from __future__ import annotations

import sys

import grpc
from annals.v1 import record_service_pb2 as rs
from annals.v1 import records_pb2 as records
from connect import Failure, connect


def main(address: str) -> None:
    """Runs the example."""
    annals = connect(address)

    # Mistakes in a request. The error reports all of them, each with the path of its field.
    nameless = rs.Mutation(create=records.Record(event=records.Event(name="events/No Name")))
    try:
        annals.Commit(rs.CommitRequest(request_id="example:python:mistake", mutations=[nameless]))
    except grpc.RpcError as error:
        failure = Failure.of(error)
        print(f"{failure.code.name} {failure.reason}")
        for path, what in failure.fields.items():
            print(f"  {path}: {what}")

    # A reason that a program can decide by, with its metadata.
    try:
        annals.GetEvent(rs.GetRecordRequest(name="events/never-made"))
    except grpc.RpcError as error:
        failure = Failure.of(error)
        if failure.reason != "RECORD_NOT_FOUND":
            raise
        print(f"{failure.code.name} {failure.reason}: there is no {failure.metadata['name']} yet")


if __name__ == "__main__":
    main(*sys.argv[1:] or ["localhost:50051"])
