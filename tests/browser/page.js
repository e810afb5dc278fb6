// What a page may do, as functions that a test calls in its browser. The address of the page contains that of the server.

import { ConnectError, Code, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ChangeKind, RecordService } from "./gen/annals/v1/record_service_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

const baseUrl = `http://${new URLSearchParams(location.search).get("server")}`;
const annals = createClient(RecordService, createGrpcWebTransport({ baseUrl }));

/** Commits an event under an id of ours, and reads it back. */
export async function createEvent(id, title) {
  const { revision } = await annals.commit({ requestId: `page:${id}`, mutations: [create({ name: `events/${id}`, title })] });
  const event = await annals.getEvent({ name: `events/${id}` });
  return { revision: Number(revision), title: event.title };
}

/** What a watch has told so far, and how it ended. */
export const watched = { opened: false, changes: [], end: null };

/** Begins a watch of all that is yet to come. */
export async function watch() {
  try {
    for await (const { revision, content } of annals.watch({})) {
      watched.opened ||= content.case === "checkpoint" && content.value.opened;
      for (const { kind, name } of content.case === "commit" ? content.value.changes : []) {
        watched.changes.push(`${revision}: ${ChangeKind[kind]} ${name}`);
      }
    }
  } catch (error) {
    watched.end = failure(error);
  }
}

/** Makes two mistakes in one request: how it failed. */
export async function makeMistakes() {
  const mutations = [create({ name: "events/No Name" }), create({ name: "events/also wrong" })];
  return annals.commit({ requestId: "page:mistakes", mutations }).then(() => "it was answered", failure);
}

/** Where a call has to fail: how it did. */
export async function refused(id) {
  return createEvent(id, "by a page that may not").then(() => "it was answered", failure);
}

function create(event) {
  return { op: { case: "create", value: { record: { case: "event", value: event } } } };
}

function failure(error) {
  const failed = ConnectError.from(error);
  const [{ reason = null } = {}] = failed.findDetails(ErrorInfoSchema);
  const fields = failed.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations.map(({ field }) => field));
  return { code: Code[failed.code], reason, fields };
}
