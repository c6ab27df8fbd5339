// What has been read in the open room: the line above the first unread message, which stays put while someone
// reads, and the read marker, which moves when messages are seen. It must not know scrolling, only its outcome.

const TELL_EVERY_MS = 1_000;

/** Dispatches `change` when the line moves. */
export class Reading extends EventTarget {
  #rooms;
  #tell;
  #clock;
  #me;
  #seeing = false;
  #seen = 0;
  #told = 0;
  #toldAt = -Infinity;
  /** @type {unknown} */ #timer = null;
  /** @type {string | null} */ #room = null;

  /** @type {number | null} messages after this seq are new */ line = null;

  /**
   * @param {{rooms: import("./rooms.js").Rooms, tell: (room: string, seq: number) => void, clock: import("./clock.js").Clock, me: string}} parts
   */
  constructor({ rooms, tell, clock, me }) {
    super();
    this.#rooms = rooms;
    this.#tell = tell;
    this.#clock = clock;
    this.#me = me;
  }

  /** @param {string} room */
  enter(room) {
    this.#flush();
    const summary = this.#rooms.get(room);
    this.#room = room;
    this.#seeing = false;
    this.#seen = summary?.read ?? 0;
    this.#told = this.#seen;
    this.#draw(summary && summary.unread > 0 ? summary.read : null);
  }

  /**
   * @param {boolean} seeing whether the newest messages are before someone's eyes
   * @param {number} seq the newest event held
   */
  look(seeing, seq) {
    this.#seeing = seeing;
    if (seeing) this.#see(seq);
  }

  /** After a lost connection: what was seen meanwhile, or was told into the void, is told again. */
  reconnected() {
    const summary = this.#rooms.get(this.#room);
    if (!summary || !this.#room || summary.read >= this.#seen) return;
    this.#told = summary.read;
    this.#rooms.markRead(this.#room, this.#seen);
    this.#flush();
  }

  /**
   * Whether the server still counts what is known here to have been seen.
   * @param {import("../wire.js").RoomPush} push
   */
  knowsBetter({ room, read }) {
    return room === this.#room && read < this.#seen;
  }

  /**
   * To be called before the rooms count the event.
   * @param {import("../wire.js").RoomEvent} event
   */
  heard(event) {
    if (event.kind !== "message" || !this.#room) return;
    if (event.author.id === this.#me) this.#draw(null);
    else if (!this.#seeing && !this.#rooms.get(this.#room)?.unread) this.#draw(event.seq - 1);
  }

  /**
   * To be called after the rooms have counted the event: what comes before watching eyes is seen.
   * @param {number} seq
   */
  keepUp(seq) {
    if (this.#seeing) this.#see(seq);
  }

  /** @param {number} seq */
  #see(seq) {
    if (!this.#room || seq <= this.#seen) return;
    this.#seen = seq;
    this.#rooms.markRead(this.#room, seq);
    const wait = this.#toldAt + TELL_EVERY_MS - this.#clock.now();
    if (wait <= 0) this.#flush();
    else this.#timer ??= this.#clock.after(() => this.#flush(), wait);
  }

  #flush() {
    this.#clock.cancel(this.#timer);
    this.#timer = null;
    if (!this.#room || this.#seen <= this.#told) return;
    this.#told = this.#seen;
    this.#toldAt = this.#clock.now();
    this.#tell(this.#room, this.#seen);
  }

  /** @param {number | null} line */
  #draw(line) {
    if (line === this.line) return;
    this.line = line;
    this.dispatchEvent(new Event("change"));
  }
}
