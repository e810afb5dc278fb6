// Makes mistakes, and shows how to act on the errors.
//
// node errors.js [HOST:PORT]

import { status } from "@grpc/grpc-js";
import { CommitRequest, GetRecordRequest } from "./gen/annals/v1/record_service.js";
import { connect, failure } from "./connect.js";

const annals = connect(process.argv[2] ?? "localhost:50051");

// Mistakes in a request. The error reports all of them, each with the path of its field.
const nameless = { create: { event: { name: "events/No Name" } } };
try {
  await annals.commit(CommitRequest.fromPartial({ requestId: "example:javascript:mistake", mutations: [nameless] }));
} catch (error) {
  const { code, reason, fields } = failure(error);
  console.log(`${status[code]} ${reason}`);
  for (const [path, what] of Object.entries(fields)) console.log(`  ${path}: ${what}`);
}

// A reason that a program can decide by, with its metadata.
try {
  await annals.getEvent(GetRecordRequest.fromPartial({ name: "events/never-made" }));
} catch (error) {
  const { code, reason, metadata } = failure(error);
  if (reason !== "RECORD_NOT_FOUND") throw error;
  console.log(`${status[code]} ${reason}: there is no ${metadata.name} yet`);
}

annals.close();
