// Who is in the open room, from a whole set and the changes to it. In a large room the server tells the number
// only, and names are asked for page by page. It must not know the connection or the DOM.

/** @typedef {import("../wire.js").Author} Author */
/** @typedef {import("../wire.js").PresencePush} PresencePush */

/** Dispatches `change`. */
export class Presence extends EventTarget {
  /** @type {Map<string, string>} */ #names = new Map();
  count = 0;

  /** By name; oneself is where one's name is. */
  get people() {
    return [...this.#names]
      .map(([id, name]) => ({ id, name }))
      .sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
  }

  /** How many are here whose names are not known. */
  get unnamed() {
    return Math.max(0, this.count - this.#names.size);
  }

  /** The id after which the next page of names begins. */
  get lastId() {
    return [...this.#names.keys()].sort().at(-1) ?? null;
  }

  clear() {
    this.#names.clear();
    this.count = 0;
    this.#changed();
  }

  /** @param {PresencePush} push */
  apply({ online, joined = [], left = [], count }) {
    const countOnly = !online && joined.length === 0 && left.length === 0;
    if (online || (countOnly && count < this.#names.size)) this.#names.clear();
    for (const { id, name } of [...(online ?? []), ...joined]) this.#names.set(id, name);
    for (const id of left) this.#names.delete(id);
    this.count = count;
    this.#changed();
  }

  /** @param {Author[]} users a page of names that was asked for */
  learn(users) {
    for (const { id, name } of users) this.#names.set(id, name);
    this.#changed();
  }

  /** @param {Author} user */
  rename({ id, name }) {
    if (!this.#names.has(id)) return;
    this.#names.set(id, name);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
