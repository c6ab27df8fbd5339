// What users are called now, and which picture of theirs is the newest: an event carries the name its author had
// then, and a change shows at once, in old messages too. It must not know where names are shown.

/** @typedef {import("../wire.js").Author} Author */

/** Dispatches `change`. */
export class Names extends EventTarget {
  /** @type {Map<string, string>} */ #names = new Map();
  /** @type {Map<string, number>} */ #pictures = new Map();

  /** @param {Author} user */
  nameOf({ id, name }) {
    return this.#names.get(id) ?? name;
  }

  /** @param {string} id */
  pictureOf(id) {
    const version = this.#pictures.get(id);
    const path = `/avatars/${encodeURIComponent(id)}`;
    return version ? `${path}?v=${version}` : path;
  }

  /** @param {Author} user the push `user` */
  changed({ id, name }) {
    this.#names.set(id, name);
    this.#pictures.set(id, (this.#pictures.get(id) ?? 0) + 1);
    this.dispatchEvent(new Event("change"));
  }
}
