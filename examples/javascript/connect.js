// A connection to Annals with retries, and errors that a program can act on.

import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { credentials } from "@grpc/grpc-js";
import { RecordServiceClient } from "./gen/annals/v1/record_service.js";
import { BadRequest, ErrorInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";

const SERVICE_CONFIG = new URL("../service_config.json", import.meta.url);

/** Connects to the service at HOST:PORT. Transient errors are retried, and every unary call has a deadline. */
export function connect(address) {
  const client = new RecordServiceClient(address, credentials.createInsecure(), {
    "grpc.service_config": readFileSync(SERVICE_CONFIG, "utf8"),
    // Reconnect soon after the server was unavailable. By default the wait grows to two minutes.
    "grpc.max_reconnect_backoff_ms": 2000,
  });
  const unary = (method) => promisify(client[method]).bind(client);
  return {
    commit: unary("commit"),
    getEvent: unary("getEvent"),
    listClaims: unary("listClaims"),
    watch: client.watch.bind(client),
    close: () => client.close(),
  };
}

/** An error with its details. Decide by `reason`, which is part of the contract. The message is for people. */
export function failure(error) {
  const [packed] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const found = { code: error.code, message: error.details, reason: "", metadata: {}, fields: {} };
  for (const { typeUrl, value } of packed ? Status.decode(packed).details : []) {
    if (typeUrl.endsWith("/google.rpc.ErrorInfo")) {
      const info = ErrorInfo.decode(value);
      found.reason = info.reason;
      found.metadata = info.metadata;
    } else if (typeUrl.endsWith("/google.rpc.BadRequest")) {
      for (const { field, description } of BadRequest.decode(value).fieldViolations) found.fields[field] = description;
    }
  }
  return found;
}
