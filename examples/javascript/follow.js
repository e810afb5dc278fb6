// Follows the commits of a store. When you start it again, it resumes where it stopped.
//
// node follow.js STATE_FILE [HOST:PORT]

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { WatchRequest } from "./gen/annals/v1/record_service.js";
import { connect, failure } from "./connect.js";

const [state, address = "localhost:50051"] = process.argv.slice(2);
const annals = connect(address);

// One number is the whole position.
for (;;) {
  const afterRevision = existsSync(state) ? BigInt(readFileSync(state, "utf8")) : 0n;
  try {
    for await (const message of annals.watch(WatchRequest.fromPartial({ afterRevision }))) {
      for (const { kind, name } of message.commit?.changes ?? []) {
        console.log(`${message.revision}: ${kind.replace("CHANGE_KIND_", "").toLowerCase()} ${name}`);
      }
      // Save the position after processing the message. What was not saved is sent again. Checkpoints advance it too.
      save(message.revision);
    }
  } catch (error) {
    if (![status.UNAVAILABLE, status.ABORTED, status.CANCELLED].includes(error.code)) throw error;
    console.error(`again in a second: ${failure(error).message}`);
    await sleep(1000);
  }
}

/** Replaces the file atomically, so that a crash leaves the old number or the new one. */
function save(revision) {
  writeFileSync(`${state}.new`, String(revision));
  renameSync(`${state}.new`, state);
}
