// What was begun in each room's composer and not sent yet; kept through a reload. It must not know the composer.

const IDLE_MS = 300;

export class Drafts {
  #storage;
  #prefix;
  #clock;
  /** @type {Map<string, {text: string, timer: unknown}>} */ #soon = new Map();

  /**
   * @param {{storage: import("../storage.js").Storage, userId: string, clock: import("./clock.js").Clock}} parts
   */
  constructor({ storage, userId, clock }) {
    this.#storage = storage;
    this.#prefix = `chinwag:draft:${userId}:`;
    this.#clock = clock;
  }

  /** @param {string} room */
  get(room) {
    return this.#soon.get(room)?.text ?? this.#storage.get(this.#prefix + room) ?? "";
  }

  // Storage is written on a pause, not on every key: it is slow, and shared by all tabs.
  /**
   * @param {string} room
   * @param {string} text
   */
  set(room, text) {
    this.#clock.cancel(this.#soon.get(room)?.timer);
    this.#soon.set(room, { text, timer: this.#clock.after(() => this.#write(room), IDLE_MS) });
  }

  /** On leaving the page there is no pause to wait for. */
  flush() {
    for (const room of [...this.#soon.keys()]) this.#write(room);
  }

  forget() {
    for (const { timer } of this.#soon.values()) this.#clock.cancel(timer);
    this.#soon.clear();
    for (const key of this.#storage.keys(this.#prefix)) this.#storage.remove(key);
  }

  /** @param {string} room */
  #write(room) {
    const soon = this.#soon.get(room);
    if (!soon) return;
    this.#clock.cancel(soon.timer);
    this.#soon.delete(room);
    if (soon.text) this.#storage.set(this.#prefix + room, soon.text);
    else this.#storage.remove(this.#prefix + room);
  }
}
