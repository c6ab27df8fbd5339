// One live connection at a time to the server: commands and their replies, pushes, coming back after a close,
// and noticing a link that died in silence. It must not know rooms, messages or the DOM.

import { CLOSE } from "../wire.js";
import { afterClose } from "./back-off.js";

/** @typedef {import("../wire.js").Hello} Hello */
/** @typedef {import("../wire.js").Push} Push */
/** @typedef {import("../wire.js").WireError} WireError */
/** @typedef {import("./back-off.js").WaitReason} WaitReason */
/** @typedef {import("./back-off.js").StopReason} StopReason */

/**
 * @typedef {object} Socket what a browser's WebSocket offers and the connection uses
 * @property {(data: string) => void} send
 * @property {(code?: number) => void} close
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 */

/** @typedef {{phase: "idle" | "connecting" | "live"} | {phase: "waiting", why: WaitReason} | {phase: "stopped", why: StopReason}} State */

const HELLO_WITHIN_MS = 15_000;
const REPLY_WITHIN_MS = 15_000;
const PROBE_WITHIN_MS = 5_000;
const SETTLED_AFTER_MS = 10_000;
const SILENT_HEARTBEATS = 2.5;

/** The server answered a command with an error. */
export class CommandError extends Error {
  /** @param {WireError} error */
  constructor(error) {
    super(error.message);
    this.code = error.code;
    this.details = error;
  }
}

/** The connection ended before the reply came: the command may or may not have been carried out. */
export class Disconnected extends Error {}

/** Dispatches `state`, `hello` (once per connection), `push`, and `refused` when a socket closed before hello. */
export class Connection extends EventTarget {
  #dial;
  #clock;
  #random;

  /** @type {Socket | null} */ #socket = null;
  /** @type {State} */ #state = { phase: "idle" };
  /** @type {Map<number, {resolve: (ok: any) => void, reject: (error: Error) => void, timer: unknown}>} */
  #waiting = new Map();
  #nextRef = 1;
  #attempt = 0;
  #liveSince = 0;
  #lastHeard = 0;
  #heartbeatMs = 30_000;
  /** @type {unknown} */ #retryTimer = null;
  /** @type {unknown} */ #watchTimer = null;

  /**
   * @param {{dial: () => Socket, clock: import("./clock.js").Clock, random?: () => number}} parts
   */
  constructor({ dial, clock, random = Math.random }) {
    super();
    this.#dial = dial;
    this.#clock = clock;
    this.#random = random;
  }

  get state() {
    return this.#state;
  }

  get live() {
    return this.#state.phase === "live";
  }

  start() {
    this.#clock.cancel(this.#retryTimer);
    this.#enter({ phase: "connecting" });
    const socket = this.#dial();
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.code);
    this.#watchTimer = this.#clock.after(() => this.#closed(CLOSE.lost), HELLO_WITHIN_MS);
  }

  /** Ends for good, as on signing out. */
  stop() {
    this.#release(1000);
    this.#clock.cancel(this.#retryTimer);
    this.#enter({ phase: "idle" });
  }

  /**
   * @param {{type: string, [field: string]: unknown}} command
   * @returns {Promise<any>} the reply's `ok`; rejects with CommandError or Disconnected
   */
  request(command, withinMs = REPLY_WITHIN_MS) {
    if (!this.live) return Promise.reject(new Disconnected("not connected"));
    const ref = this.#nextRef++;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(() => this.#closed(CLOSE.lost), withinMs);
      this.#waiting.set(ref, { resolve, reject, timer });
      this.#socket?.send(JSON.stringify({ ...command, ref }));
    });
  }

  /**
   * For what nobody waits for, such as typing: without a connection it is dropped.
   * @param {{type: string, [field: string]: unknown}} command
   */
  tell(command) {
    if (this.live) this.#socket?.send(JSON.stringify(command));
  }

  /** The device woke up, or the network came back: find out now rather than later. */
  wake() {
    if (this.#state.phase === "waiting" && this.#state.why !== "crowded") this.start();
    else if (this.live) this.#probe();
  }

  /** The person asked: whatever the reason for waiting, try now. */
  retryNow() {
    if (this.#state.phase === "waiting") this.start();
  }

  /** @param {string} data */
  #receive(data) {
    this.#lastHeard = this.#clock.now();
    const frame = JSON.parse(data);
    if (frame.type === "reply") this.#settle(frame);
    else if (frame.type === "hello") this.#greeted(frame);
    else this.dispatchEvent(new CustomEvent("push", { detail: frame }));
  }

  /** @param {Hello} hello */
  #greeted(hello) {
    this.#liveSince = this.#clock.now();
    this.#heartbeatMs = hello.heartbeat_ms;
    this.#clock.cancel(this.#watchTimer);
    this.#watch();
    this.#state = { phase: "live" };
    this.dispatchEvent(new CustomEvent("hello", { detail: hello }));
    this.dispatchEvent(new Event("state"));
  }

  /** @param {{ref: number, ok?: unknown, error?: WireError}} reply */
  #settle({ ref, ok, error }) {
    const waiting = this.#waiting.get(ref);
    if (!waiting) return;
    this.#waiting.delete(ref);
    this.#clock.cancel(waiting.timer);
    if (error) waiting.reject(new CommandError(error));
    else waiting.resolve(ok);
  }

  // Browsers answer pings without telling the page, so an idle link looks like a dead one from here.
  #watch() {
    this.#watchTimer = this.#clock.after(() => {
      if (this.#clock.now() - this.#lastHeard >= SILENT_HEARTBEATS * this.#heartbeatMs) this.#probe();
      this.#watch();
    }, this.#heartbeatMs);
  }

  #probe() {
    this.request({ type: "present", room: "lobby", after: null, limit: 1 }, PROBE_WITHIN_MS).catch(() => {});
  }

  /** @param {number} code */
  #closed(code) {
    const greeted = this.live;
    if (greeted && this.#clock.now() - this.#liveSince >= SETTLED_AFTER_MS) this.#attempt = 0;
    this.#release(code === CLOSE.lost ? 1000 : undefined);

    const verdict = afterClose(code, this.#attempt++, this.#random);
    if (verdict.stop) {
      this.#enter({ phase: "stopped", why: verdict.stop });
      return;
    }
    this.#retryTimer = this.#clock.after(() => this.start(), verdict.delayMs);
    this.#enter({ phase: "waiting", why: verdict.why });
    if (!greeted) this.dispatchEvent(new Event("refused"));
  }

  // A dead link answers no close handshake: let go of the socket first, and do not wait for it.
  /** @param {number} [closeWith] */
  #release(closeWith) {
    const socket = this.#socket;
    this.#socket = null;
    this.#clock.cancel(this.#watchTimer);
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      if (closeWith) socket.close(closeWith);
    }
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject, timer } of waiting) {
      this.#clock.cancel(timer);
      reject(new Disconnected("the connection ended"));
    }
  }

  /** @param {State} state */
  #enter(state) {
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }
}
