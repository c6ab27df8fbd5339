// Messages that were written but are not yet in the log: pending, failed, or acknowledged and on their way back
// as events. Kept through a reload for a day. It must not know how they are sent, nor the DOM.

/** @typedef {"pending" | "failed" | "sent"} UnsentState */

/**
 * @typedef {object} UnsentMessage
 * @property {string} txn_id
 * @property {string} room
 * @property {string} text
 * @property {number} at when it was written, in ms
 * @property {UnsentState} state
 * @property {string} [reason] why it failed, for people
 * @property {number} [seq] its place in the log, once acknowledged
 */

export const KEPT_FOR_MS = 24 * 60 * 60 * 1000;

/** Dispatches `change`. */
export class Unsent extends EventTarget {
  #storage;
  #prefix;
  #clock;
  #newId;
  /** @type {Map<string, UnsentMessage>} */ #messages = new Map();

  /**
   * @param {{storage: import("../storage.js").Storage, userId: string, clock: import("./clock.js").Clock, newId?: () => string}} parts
   */
  constructor({ storage, userId, clock, newId = randomId }) {
    super();
    this.#storage = storage;
    this.#prefix = `chinwag:unsent:${userId}:`;
    this.#clock = clock;
    this.#newId = newId;
    this.#restore();
  }

  /** @param {string} room */
  of(room) {
    return [...this.#messages.values()].filter((message) => message.room === room);
  }

  /** Rooms in which something waits to be sent. */
  rooms() {
    const pending = [...this.#messages.values()].filter(({ state }) => state === "pending");
    return [...new Set(pending.map(({ room }) => room))];
  }

  /**
   * @param {string} room
   * @param {string} text
   */
  add(room, text) {
    /** @type {UnsentMessage} */
    const message = { txn_id: this.#newId(), room, text, at: this.#clock.now(), state: "pending" };
    this.#put(message);
    return message;
  }

  /**
   * The oldest pending message of a room. What has waited for too long fails here instead: the server may have
   * forgotten its txn_id by now, and only a person can decide to say it again.
   * @param {string} room
   * @returns {UnsentMessage | undefined}
   */
  next(room) {
    for (const message of this.of(room)) {
      if (message.state !== "pending") continue;
      if (!this.#expired(message)) return message;
      this.fail(message.txn_id, "it waited for more than a day");
    }
    return undefined;
  }

  /**
   * @param {string} txnId
   * @param {string} reason
   */
  fail(txnId, reason) {
    const message = this.#messages.get(txnId);
    if (message) this.#put({ ...message, state: "failed", reason });
  }

  /** @param {string} txnId */
  retry(txnId) {
    const message = this.#messages.get(txnId);
    if (!message) return;
    const { reason: _, ...again } = message;
    if (this.#expired(message)) {
      this.discard(txnId);
      this.add(message.room, message.text);
    } else {
      this.#put({ ...again, state: "pending" });
    }
  }

  /**
   * Durable, but its event has not come by yet: nothing left to resend, still something to show.
   * @param {string} txnId
   * @param {number} seq
   */
  acknowledge(txnId, seq) {
    const message = this.#messages.get(txnId);
    if (!message) return;
    this.#messages.set(txnId, { ...message, state: "sent", seq });
    this.#storage.remove(this.#prefix + txnId);
    this.#changed();
  }

  /**
   * It stands in the log (or nobody wants it any more).
   * @param {string} txnId
   */
  discard(txnId) {
    if (!this.#messages.delete(txnId)) return;
    this.#storage.remove(this.#prefix + txnId);
    this.#changed();
  }

  /**
   * Everything up to this seq has been read in the room: acknowledged messages up to there are in the log.
   * @param {string} room
   * @param {number} seq
   */
  settle(room, seq) {
    for (const message of this.of(room)) {
      if (message.seq !== undefined && message.seq <= seq) this.discard(message.txn_id);
    }
  }

  forget() {
    for (const txnId of [...this.#messages.keys()]) this.discard(txnId);
  }

  #restore() {
    for (const key of this.#storage.keys(this.#prefix)) {
      const message = parse(this.#storage.get(key));
      if (message && !this.#expired(message)) this.#messages.set(message.txn_id, message);
      else this.#storage.remove(key);
    }
    const inOrder = [...this.#messages.values()].sort((a, b) => a.at - b.at);
    this.#messages = new Map(inOrder.map((message) => [message.txn_id, message]));
  }

  /** @param {UnsentMessage} message */
  #expired(message) {
    return this.#clock.now() - message.at > KEPT_FOR_MS;
  }

  /** @param {UnsentMessage} message */
  #put(message) {
    this.#messages.set(message.txn_id, message);
    this.#storage.set(this.#prefix + message.txn_id, JSON.stringify(message));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {string | null} json
 * @returns {UnsentMessage | null}
 */
function parse(json) {
  try {
    return JSON.parse(json ?? "null");
  } catch {
    return null;
  }
}

// Not crypto.randomUUID: over plain http, as on a school's own network, browsers do not offer it.
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
