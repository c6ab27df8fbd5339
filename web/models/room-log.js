// The part of a room's log that the page holds: a window of messages in order of seq, without a hole, and the
// cursor up to which events were read. Applying anything twice changes nothing. It must not know the DOM, sockets
// or who is looking.

/** @typedef {import("../wire.js").RoomEvent} RoomEvent */
/** @typedef {import("../wire.js").Page} Page */

export const WINDOW = 300;
const CHANGES_KEPT = 200;

export class RoomLog {
  /** @type {RoomEvent[]} */ #entries = [];
  /** @type {RoomEvent[]} */ #changes = [];
  #cursor = 0;

  /**
   * @param {string} room
   * @param {Page} page
   * @param {{reachesEnd?: boolean}} [options] false for a page from the middle of the log
   */
  constructor(room, page, { reachesEnd = true } = {}) {
    this.room = room;
    this.epoch = page.epoch;
    this.reachesStart = !page.more;
    this.reachesEnd = reachesEnd;
    this.#cursor = page.head;
    this.#entries = [...page.messages];
  }

  /** Messages, and the comings, goings and changes of the room seen live among them. */
  get entries() {
    return /** @type {readonly RoomEvent[]} */ (this.#entries);
  }

  /** @returns {import("../wire.js").Cursor} */
  get cursor() {
    return { epoch: this.epoch, seq: this.#cursor };
  }

  get first() {
    return this.#entries[0]?.seq;
  }

  get last() {
    return this.#entries.at(-1)?.seq;
  }

  /**
   * Only the event that follows on the cursor is taken: what came before is known, and what comes after a gap
   * will come again once the gap is filled.
   * @param {RoomEvent} event
   * @returns {boolean} whether it was taken
   */
  apply(event) {
    if (event.seq !== this.#cursor + 1) return false;
    this.#cursor = event.seq;
    if (event.kind === "message" || event.kind === "member" || event.kind === "topic") {
      if (this.reachesEnd && event.seq > (this.last ?? 0)) this.#entries.push(event);
    } else if (event.kind === "edit" || event.kind === "delete") {
      this.#changes.push(event);
      this.#changes.splice(0, this.#changes.length - CHANGES_KEPT);
      this.#change(event);
    }
    return true;
  }

  /** @param {Page} page the messages before the first */
  addOlder(page) {
    const first = this.first ?? Infinity;
    this.#entries.unshift(...page.messages.filter(({ seq }) => seq < first));
    this.reachesStart = !page.more;
    this.#changeSince(page.head);
    if (this.#entries.length > WINDOW) {
      this.#entries.length = WINDOW;
      this.reachesEnd = false;
    }
  }

  /**
   * @param {Page} page overlapping the last or following on it
   * @param {boolean} toEnd whether it holds the newest messages
   */
  addNewer(page, toEnd) {
    const last = this.last ?? 0;
    this.#entries.push(...page.messages.filter(({ seq }) => seq > last));
    this.#changeSince(page.head);
    // The page may have been read before events that passed by while the window did not reach the end.
    this.reachesEnd = toEnd && page.head >= this.#cursor;
    this.dropOldest();
  }

  /** Keeps the window bounded while someone reads along at its end. */
  dropOldest() {
    const surplus = this.#entries.length - WINDOW;
    if (surplus <= 0) return;
    this.#entries.splice(0, surplus);
    this.reachesStart = false;
  }

  /** Keeps the window bounded while someone reads further up: what they look at stays. */
  dropNewest() {
    if (this.#entries.length <= WINDOW) return;
    this.#entries.length = WINDOW;
    this.reachesEnd = false;
  }

  // A page shows messages as they stood at its head; changes that were heard later are made again.
  /** @param {number} seq */
  #changeSince(seq) {
    for (const change of this.#changes) if (change.seq > seq) this.#change(change);
  }

  /** @param {RoomEvent} change */
  #change(change) {
    const { kind, target, all_of, text, html, mentions } = change;
    this.#entries = this.#entries.map((entry) => {
      const meant = all_of === undefined ? entry.seq === target : entry.author.id === all_of;
      if (!meant || entry.kind !== "message" || entry.redacted) return entry;
      return kind === "delete" ? emptied(entry) : { ...entry, text, html, mentions, edited: true };
    });
  }
}

/** @param {RoomEvent} entry @returns {RoomEvent} its place, without what it said */
function emptied({ seq, kind, id, at, author }) {
  return { seq, kind, id, at, author, redacted: true };
}
