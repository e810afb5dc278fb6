// The programs of examples/javascript, run as a user does, against a real server.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "./server.js";

const cwd = fileURLToPath(new URL("../../examples/javascript/", import.meta.url));

async function example(...command) {
  const { stdout } = await promisify(execFile)(process.execPath, command, { cwd, timeout: 60_000 });
  return stdout.trimEnd().split("\n");
}

test("an article is committed once and its claims are listed", async (t) => {
  const address = await serve(t);
  const first = await example("article.js", address);
  const again = await example("article.js", address);
  assert.equal(first[0], "revision 1");
  assert.equal(again[0], "revision 1 (replayed)");
  const kinds = ["sources", "actors", "claims", "estimates"];
  assert.deepEqual(first.slice(1, 5).map((line) => line.split("/")[0]), kinds.map((kind) => `  created ${kind}`));
  assert.deepEqual(first.slice(6), ["  Around 3,000 troops have been sent."]);
  assert.deepEqual(again.slice(1), first.slice(1));
});

test("errors can be distinguished", async (t) => {
  const lines = await example("errors.js", await serve(t));
  assert.equal(lines[0], "INVALID_ARGUMENT FIELD_INVALID");
  assert.ok(lines[1].startsWith("  mutations[0].create.event.name: "), lines[1]);
  assert.equal(lines.at(-1), "NOT_FOUND RECORD_NOT_FOUND: there is no events/never-made yet");
});

test("following resumes where it stopped", async (t) => {
  const address = await serve(t);
  const folder = mkdtempSync(join(tmpdir(), "annals-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const state = join(folder, "state");
  await example("article.js", address);
  const first = await follow(state, address, 4);
  assert.deepEqual(first.map((line) => line.split("/")[0]), ["sources", "actors", "claims", "estimates"].map((kind) => `1: created ${kind}`));
  assert.equal(readFileSync(state, "utf8"), "1");
  assert.deepEqual(await follow(state, address, 0), [], "nothing is told twice");
});

/** Runs follow.js until it has printed so many lines and saved its state; half a second more would show any that are too many. */
async function follow(state, address, lines) {
  const child = spawn(process.execPath, ["follow.js", state, address], { cwd, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.on("data", (data) => (printed += data));
  const told = () => printed.split("\n").slice(0, -1);
  for (let waited = 0; waited < 30_000 && (told().length < lines || !existsSync(state)); waited += 50) await sleep(50);
  await sleep(1000);
  child.kill();
  return told();
}
