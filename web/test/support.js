// What the unit tests stand on: a clock that moves when told, a socket whose far end is the test, and events in short.
// It must not know what is tested.

import { memoryStorage } from "../storage.js";

export { memoryStorage };

export class FakeClock {
  #now = Date.parse("2026-11-20T09:00:00Z");
  /** @type {{at: number, run: () => void}[]} */ #timers = [];

  now = () => this.#now;

  /** @type {import("../models/clock.js").Clock["after"]} */
  after = (run, ms) => {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return timer;
  };

  /** @type {import("../models/clock.js").Clock["cancel"]} */
  cancel = (timer) => {
    this.#timers = this.#timers.filter((other) => other !== timer);
  };

  /** @param {number} ms */
  async pass(ms) {
    const until = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.cancel(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settled();
    }
    this.#now = until;
  }
}

/** The page's end of a socket; the test holds the other. */
export class FakeSocket {
  /** @type {((event: any) => void) | null} */ onmessage = null;
  /** @type {((event: any) => void) | null} */ onclose = null;
  /** @type {any[]} */ sent = [];
  closed = false;

  /** @param {string} data */
  send(data) {
    this.sent.push(JSON.parse(data));
  }

  close() {
    this.closed = true;
  }

  /** @param {object} frame */
  says(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** @param {Partial<import("../wire.js").Hello>} [fields] */
  greets(fields = {}) {
    this.says({
      type: "hello",
      protocol: 1,
      user: ALICE,
      rooms: [summary("lobby")],
      heartbeat_ms: 30_000,
      limits: { text_bytes: 8000, frame_bytes: 262_144 },
      ...fields,
    });
  }

  /** @param {number} code */
  closes(code) {
    this.onclose?.({ code });
  }

  /** @param {string} type @returns {any} the newest command of this type */
  last(type) {
    return this.sent.findLast((command) => command.type === type);
  }

  /** @param {string} type */
  count(type) {
    return this.sent.filter((command) => command.type === type).length;
  }

  /**
   * @param {string} type
   * @param {object} ok
   */
  async replies(type, ok) {
    this.says({ type: "reply", ref: this.last(type).ref, ok });
    await settled();
  }

  /**
   * @param {string} type
   * @param {object} error
   */
  async refuses(type, error) {
    this.says({ type: "reply", ref: this.last(type).ref, error });
    await settled();
  }
}

export const ALICE = { id: "u-alice", name: "alice" };
export const BOB = { id: "u-bob", name: "bob" };

/**
 * @param {string} room
 * @param {Partial<import("../wire.js").RoomSummary>} [fields]
 */
export function summary(room, fields = {}) {
  return { room, name: room, epoch: "e1", head: 0, read: 0, unread: 0, mentions: 0, ...fields };
}

/**
 * @param {number} seq
 * @param {object} [fields]
 * @returns {import("../wire.js").EventPush}
 */
export function message(seq, fields = {}) {
  const at = new Date(Date.parse("2026-11-20T08:00:00Z") + seq * 1000).toISOString();
  return { type: "event", room: "lobby", seq, kind: "message", at, author: BOB, text: `message ${seq}`, ...fields };
}

/**
 * @param {number} from
 * @param {number} to
 */
export function messages(from, to) {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => message(from + index));
}

/**
 * @param {number} from
 * @param {number} to
 * @param {Partial<import("../wire.js").Page>} [fields]
 * @returns {import("../wire.js").Page}
 */
export function page(from, to, fields = {}) {
  return { epoch: "e1", head: to, oldest: 1, messages: messages(from, to), more: from > 1, ...fields };
}

/** Lets promises that can go on, go on. */
export function settled() {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
