// What users are called now, and which picture of theirs is the newest: an event carries the name its author had
// then, and a change shows at once, in old messages too. It must not know where names are shown.

/** @typedef {import("../wire.js").Author} Author */

/** Dispatches `change`. */
export class Names extends EventTarget {
  /** @type {Map<string, string>} */ #names = new Map();
  /** @type {Map<string, string>} */ #pictures = new Map();
  #changes = 0;

  /** @param {Author} user */
  nameOf({ id, name }) {
    return this.#names.get(id) ?? name;
  }

  /** @param {string} id */
  pictureOf(id) {
    return this.#pictures.get(id) ?? pathOf(id);
  }

  // The server numbers the pictures that were chosen. One drawn from the name has no number, and is new all the same.
  /** @param {import("../wire.js").UserPush} user */
  changed({ id, name, picture = pathOf(id) }) {
    this.#names.set(id, name);
    this.#pictures.set(id, picture.includes("?") ? picture : `${picture}?changed=${++this.#changes}`);
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {string} id */
function pathOf(id) {
  return `/avatars/${encodeURIComponent(id)}`;
}
