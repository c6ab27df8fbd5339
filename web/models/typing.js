// Who is typing in the open room, and how often one's own typing is told. It must not know the DOM or keys.

/** @typedef {import("../wire.js").Author} Author */

const TELL_EVERY_MS = 3_000;
const ENTRY_ENDS_MS = 6_000;
const NAMED = 3;

/** Dispatches `change`. */
export class Typing extends EventTarget {
  #clock;
  #me;
  /** @type {Author[]} */ #users = [];
  /** @type {unknown} */ #timer = null;
  #toldAt = -Infinity;

  /**
   * @param {import("./clock.js").Clock} clock
   * @param {string} me
   */
  constructor(clock, me) {
    super();
    this.#clock = clock;
    this.#me = me;
  }

  get users() {
    return this.#users.filter(({ id }) => id !== this.#me);
  }

  /** @param {Author[]} users the whole set */
  replace(users) {
    this.#users = users;
    this.#clock.cancel(this.#timer);
    this.#timer = users.length > 0 ? this.#clock.after(() => this.clear(), ENTRY_ENDS_MS * 2) : null;
    this.#changed();
  }

  /** @param {string} id of someone whose message came: what they were typing has been said */
  wrote(id) {
    this.#users = this.#users.filter((user) => user.id !== id);
    this.#changed();
  }

  clear() {
    this.#clock.cancel(this.#timer);
    this.#users = [];
    this.#changed();
  }

  /** @returns {boolean} whether it is time to tell that one is typing; the answer yes counts as told */
  mayTell() {
    const now = this.#clock.now();
    if (now - this.#toldAt < TELL_EVERY_MS) return false;
    this.#toldAt = now;
    return true;
  }

  /** After a message went, the next key is news again. */
  restart() {
    this.#toldAt = -Infinity;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {string[]} names
 * @returns {string} a sentence; empty for nobody
 */
export function typingSentence(names) {
  if (names.length === 0) return "";
  if (names.length > NAMED) return `${names.length} people are typing`;
  const last = names.at(-1);
  if (names.length === 1) return `${last} is typing`;
  return `${names.slice(0, -1).join(", ")} and ${last} are typing`;
}
