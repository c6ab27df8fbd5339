// The real server as the tests run it: on a free port, with a directory of its own, stopped by its process id.
// It must not know browsers.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const BINARY = process.env.CHINWAG_BIN ?? "target/debug/chinwag";
const DRAINED_WITHIN_MS = 15_000;

export class Server {
  #data;
  /** @type {import("node:child_process").ChildProcess | null} */ #process = null;
  url = "";
  /** @type {Promise<string>} the address of the link that makes its visitor the owner, printed by a first start */ ownerLink;

  /** @type {Record<string, string>} */ #env;

  /**
   * @param {string} data
   * @param {Record<string, string>} env
   */
  constructor(data, env) {
    this.#data = data;
    this.#env = env;
  }

  /** @param {Record<string, string>} [env] what only the environment says */
  static async start(env = {}) {
    const server = new Server(await mkdtemp(join(tmpdir(), "chinwag-e2e-")), env);
    await server.#run("127.0.0.1:0");
    return server;
  }

  /** Pulls the plug: nothing is flushed, nobody is told. */
  async killed() {
    await this.#end("SIGKILL");
  }

  /** On the same data and the same port. */
  async restarted() {
    await this.#run(new URL(this.url).host);
  }

  /** Asks it to drain, and waits until it is gone. */
  async drained() {
    await this.#end("SIGTERM");
  }

  async stop() {
    await this.#end("SIGTERM");
    await rm(this.#data, { recursive: true, force: true });
  }

  /** @param {string} addr */
  async #run(addr) {
    const options = ["--addr", addr, "--data", this.#data, "--limits", "off", "--gravatar", "off"];
    const child = spawn(BINARY, options, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...this.#env } });
    const leftOver = () => child.kill("SIGKILL");
    process.once("exit", leftOver);
    child.once("exit", () => process.off("exit", leftOver));
    this.#process = child;
    const lines = linesOf(child);
    this.ownerLink = announced(lines, child, /\/join#[\w-]+/);
    // Only a first start prints one, and only some plays ask for it.
    this.ownerLink.catch(() => {});
    this.url = await announced(lines, child, /https?:\/\/127\.0\.0\.1:\d+/);
  }

  /** @param {NodeJS.Signals} signal */
  async #end(signal) {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, "exit", { signal: AbortSignal.timeout(DRAINED_WITHIN_MS) });
    child.kill(signal);
    try {
      await gone;
    } catch {
      child.kill("SIGKILL");
      throw new Error(`the server did not end on ${signal}`);
    }
  }
}

// Read to the end, whoever listens: what is not read would one day fill the pipe and hold the server up.
/** @param {import("node:child_process").ChildProcess} child */
function linesOf(child) {
  if (!child.stdout) throw new Error("the server has no standard output");
  return createInterface({ input: child.stdout });
}

/**
 * @param {import("node:readline").Interface} lines
 * @param {import("node:child_process").ChildProcess} child
 * @param {RegExp} what
 * @returns {Promise<string>} the first of its kind that the server prints
 */
function announced(lines, child, what) {
  return new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const found = what.exec(line)?.[0];
      if (found) resolve(found);
    });
    lines.once("close", () => reject(new Error(`the server printed no ${what}`)));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
}
