// A page in a real browser calls a real server over gRPC-Web, from another origin than the server's.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import test, { before } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { serve } from "../javascript/server.js";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const skip = existsSync(executablePath) ? false : `NO BROWSER: there is no ${executablePath}; install chromium, or set CHROMIUM to one`;
const FLAGS = ["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"];

let script;
before(async () => {
  const entryPoints = [fileURLToPath(new URL("page.js", import.meta.url))];
  const bundle = await build({ entryPoints, bundle: true, write: false, format: "iife", globalName: "page" });
  script = bundle.outputFiles[0].text;
});

/** Serves the page on a port of its own, which makes it an origin of its own. */
async function origin(t) {
  const server = createServer((request, response) => {
    const [type, body] = request.url === "/page.js" ? ["text/javascript", script] : ["text/html", '<script src="/page.js"></script>'];
    response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(body);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  return `http://localhost:${server.address().port}`;
}

/** A browser of its own for one test. */
async function browse(t) {
  const browser = await chromium.launch({ executablePath, chromiumSandbox: false, args: FLAGS.map((flag) => `--${flag}`) });
  t.after(() => browser.close());
  return async (from, server) => {
    const tab = await browser.newPage();
    await tab.goto(`${from}/?server=${server}`);
    return tab;
  };
}

test("a page calls, and one tab's watch sees what another commits", { skip }, async (t) => {
  const from = await origin(t);
  const server = await serve(t, "--web-origin", from);
  const open = await browse(t);
  const [watching, writing] = [await open(from, server), await open(from, server)];
  watching.evaluate(() => page.watch()).catch(() => {});
  await watching.waitForFunction(() => page.watched.opened, null, { timeout: 10_000 });
  assert.deepEqual(await watching.evaluate(() => page.watched.changes), []);

  const written = await writing.evaluate(() => page.createEvent("briefing", "A briefing – ein Gespräch"));
  assert.deepEqual(written, { revision: 1, title: "A briefing – ein Gespräch" });
  await watching.waitForFunction(() => page.watched.changes.length > 0, null, { timeout: 10_000 });
  assert.deepEqual(await watching.evaluate(() => page.watched), {
    opened: true,
    changes: ["1: CREATED events/briefing"],
    end: null,
  });
});

test("a page reads what is wrong with its request", { skip }, async (t) => {
  const from = await origin(t);
  const tab = await (await browse(t))(from, await serve(t, "--web-origin", from));
  assert.deepEqual(await tab.evaluate(() => page.makeMistakes()), {
    code: "InvalidArgument",
    reason: "FIELD_INVALID",
    fields: ["mutations[0].create.event.name", "mutations[1].create.event.name"],
  });
});

test("a page of an origin that is not allowed is refused, and writes nothing", { skip }, async (t) => {
  const [allowed, other] = [await origin(t), await origin(t)];
  const server = await serve(t, "--web-origin", allowed);
  const open = await browse(t);
  const tab = await open(other, server);
  const said = [];
  tab.on("console", (message) => said.push(message.text()));
  assert.deepEqual(await tab.evaluate(() => page.refused("forged")), { code: "Unknown", reason: null, fields: [] });
  assert.match(said.join("\n"), /blocked by CORS policy/);

  // It is the first commit: the same id was not in use.
  const written = await (await open(allowed, server)).evaluate(() => page.createEvent("forged", "by one that may"));
  assert.deepEqual(written, { revision: 1, title: "by one that may" });
});
