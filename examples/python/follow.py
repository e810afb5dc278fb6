"""Follows the commits of a store. When you start it again, it resumes where it stopped.

python follow.py STATE_FILE [HOST:PORT]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import grpc
from annals.v1 import record_service_pb2 as rs
from connect import Failure, connect


def follow(address: str, state: Path) -> None:
    """Prints every change once. One number is the whole position."""
    annals = connect(address)
    while True:
        after = int(state.read_text(encoding="utf-8")) if state.exists() else 0
        try:
            for message in annals.Watch(rs.WatchRequest(after_revision=after)):
                for change in message.commit.changes:
                    kind = rs.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()
                    print(f"{message.revision}: {kind} {change.name}", flush=True)
                # Save the position after processing the message. What was not saved is sent again. Checkpoints advance it too.
                save(state, message.revision)
        except grpc.RpcError as error:
            failure = Failure.of(error)
            if failure.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED):
                raise
            print(f"again in a second: {failure.message}", file=sys.stderr)
            time.sleep(1)


def save(state: Path, revision: int) -> None:
    """Replaces the file atomically, so that a crash leaves the old number or the new one."""
    new = state.with_suffix(".new")
    new.write_text(str(revision), encoding="utf-8")
    new.replace(state)


if __name__ == "__main__":
    follow((sys.argv[2:] or ["localhost:50051"])[0], Path(sys.argv[1]))
