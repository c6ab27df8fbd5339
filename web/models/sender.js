// Brings unsent messages to the server, one at a time in each room so that their order holds, again after a
// lost connection with the same txn_id. It must not know the log or the DOM.

import { CommandError, Disconnected } from "./connection.js";
import { sleep } from "./clock.js";

const UNKNOWN_OUTCOME_WAIT_MS = 1_000;
const UNAVAILABLE_WAIT_MS = 1_000;
const RATE_WAIT_MS = 1_000;

/** @type {Record<string, string>} */
const REASONS = {
  too_long: "it is too long",
  not_allowed: "you may not write here",
  muted: "a moderator has muted you for now",
  banned: "you are banned from here",
  no_room: "this room is gone",
};

export class Sender {
  #connection;
  #unsent;
  #clock;
  /** @type {Set<string>} */ #busy = new Set();

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {import("./unsent.js").Unsent} unsent
   * @param {import("./clock.js").Clock} clock
   */
  constructor(connection, unsent, clock) {
    this.#connection = connection;
    this.#unsent = unsent;
    this.#clock = clock;
  }

  flush() {
    for (const room of this.#unsent.rooms()) this.#drain(room);
  }

  /** @param {string} room */
  async #drain(room) {
    if (this.#busy.has(room)) return;
    this.#busy.add(room);
    try {
      let message = this.#unsent.next(room);
      while (message && this.#connection.live) {
        await this.#send(message);
        message = this.#unsent.next(room);
      }
    } finally {
      this.#busy.delete(room);
    }
    // A hello that came while the last reply was failing found this room busy.
    if (this.#connection.live && this.#unsent.next(room)) this.#drain(room);
  }

  /** @param {import("./unsent.js").UnsentMessage} message */
  async #send({ txn_id, room, text }) {
    try {
      const { seq } = await this.#connection.request({ type: "post", room, txn_id, text });
      this.#unsent.acknowledge(txn_id, seq);
    } catch (error) {
      if (error instanceof CommandError) await this.#refused(txn_id, error);
      else if (!(error instanceof Disconnected)) throw error;
    }
  }

  /**
   * @param {string} txnId
   * @param {CommandError} error
   */
  async #refused(txnId, error) {
    if (error.code === "rate_limited" || error.code === "slow_mode") {
      await sleep(this.#clock, error.details.retry_after_ms ?? RATE_WAIT_MS);
    } else if (error.code === "unknown_outcome") {
      await sleep(this.#clock, UNKNOWN_OUTCOME_WAIT_MS);
    } else if (error.code === "unavailable") {
      await sleep(this.#clock, UNAVAILABLE_WAIT_MS);
    } else {
      this.#unsent.fail(txnId, REASONS[error.code] ?? error.message);
    }
  }
}
