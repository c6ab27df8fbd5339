// A Redis of one's own: on a free port, with a directory of its own, stopped by its process id. It must not know who
// uses it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ATTEMPTS = 100;

export class Redis {
  #process;
  #data;

  /**
   * @param {import("node:child_process").ChildProcess} process
   * @param {string} data
   * @param {number} port
   */
  constructor(process, data, port) {
    this.#process = process;
    this.#data = data;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start() {
    const data = await mkdtemp(join(tmpdir(), "chinwag-e2e-redis-"));
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // Below those that the system hands out.
      const port = 20_000 + Math.floor(Math.random() * 12_000);
      const process = await launched(port, data);
      if (process) return new Redis(process, data, port);
    }
    throw new Error(`redis-server starts on none of ${ATTEMPTS} ports`);
  }

  /** It stays, and does not answer. */
  pauses() {
    this.#process.kill("SIGSTOP");
  }

  resumes() {
    this.#process.kill("SIGCONT");
  }

  async stop() {
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
    await rm(this.#data, { recursive: true, force: true });
  }
}

/**
 * @param {number} port
 * @param {string} data
 * @returns {Promise<import("node:child_process").ChildProcess | null>} null where the port is somebody else's
 */
async function launched(port, data) {
  const options = ["--bind", "127.0.0.1", "--port", String(port), "--dir", data, "--save", "", "--appendonly", "yes"];
  const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  const leftOver = () => child.kill("SIGKILL");
  process.once("exit", leftOver);
  child.once("exit", () => process.off("exit", leftOver));
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise((resolve, reject) => {
    lines.on("line", (line) => line.includes("Ready to accept connections") && resolve(true));
    lines.once("close", () => resolve(false));
    child.once("error", reject);
  });
  return (await ready) ? child : null;
}
