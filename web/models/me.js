// What oneself may do here, and whom one does not want to read: role, mute and the people one ignores.
// It must not know the connection, nor who else is here.

/** @typedef {import("../wire.js").Role} Role */

/** Dispatches `change`. */
export class Me extends EventTarget {
  /** @type {Role} */ role;
  /** @type {string | null} until when one may not write; null for who may */ mutedUntil = null;
  /** @type {Set<string>} */ #ignored;

  /** @param {{id: string, guest?: boolean, role?: Role, ignored?: string[]}} user */
  constructor({ id, guest, role, ignored = [] }) {
    super();
    this.id = id;
    this.role = role ?? (guest ? "guest" : "member");
    this.#ignored = new Set(ignored);
  }

  get guest() {
    return this.role === "guest";
  }

  /** @param {{guest?: boolean, role?: Role}} user what hello says */
  greeted({ role }) {
    if (!role || role === this.role) return;
    this.role = role;
    this.#changed();
  }

  /** @param {import("../wire.js").MePush} push */
  apply({ role, muted_until }) {
    this.role = role;
    this.mutedUntil = muted_until;
    this.#changed();
  }

  /** @param {string} id */
  ignores(id) {
    return this.#ignored.has(id);
  }

  /**
   * @param {string} id
   * @param {boolean} on false: their messages are read again
   */
  ignore(id, on) {
    if (on) this.#ignored.add(id);
    else this.#ignored.delete(id);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
