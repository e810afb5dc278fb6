// A server to test: the real binary, in memory, on a free port.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY = process.env.ANNALS_BINARY ?? fileURLToPath(new URL("../../target/debug/annals", import.meta.url));

/** Starts one; options go to `annals serve`. It is killed at the end of `test`. */
export async function serve(test, ...options) {
  const command = ["serve", "--in-memory", "--listen", "127.0.0.1:0", "--log", "warn", ...options];
  const child = spawn(BINARY, command, { stdio: ["ignore", "pipe", "inherit"] });
  test.after(() => child.kill("SIGKILL"));
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return line.replace("listening on ", "");
}
