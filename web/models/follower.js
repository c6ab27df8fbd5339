// Follows one room at a time: a page of history, then the subscription that continues it; resumes from the cursor
// after a lost connection, starts afresh on a reset, and fetches older and newer pages. Rooms left lately are kept,
// so that coming back to one is a resume too. It must not know the DOM or who has read what.

import { CommandError, Disconnected } from "./connection.js";
import { RoomLog } from "./room-log.js";

/** @typedef {import("../wire.js").Page} Page */
/** @typedef {import("../wire.js").EventPush} EventPush */

const PAGE = 50;
const KEPT_LOGS = 6;
const WORTH_CATCHING_UP = 200;

/**
 * Dispatches `change`, `event` (each event taken), `reset` (what was shown could not be continued) and `lost` (what was
 * shown is there no more, not for oneself).
 */
export class Follower extends EventTarget {
  #connection;
  /** @type {Map<string, RoomLog>} */ #kept = new Map();
  #turn = 0;
  #catchingUp = false;
  #fetching = false;
  /** @type {number | undefined} the message to start at, until a page was found for it */ #around;

  /** @type {string | null} */ room = null;
  /** @type {RoomLog | null} */ log = null;
  /** @type {{code: string, message: string} | null} why the room cannot be shown */ problem = null;

  /** @param {import("./connection.js").Connection} connection */
  constructor(connection) {
    super();
    this.#connection = connection;
  }

  /**
   * @param {string} room
   * @param {{around?: number, head?: number}} [where] a message to start at; the room's head, if known
   */
  async open(room, { around, head = 0 } = {}) {
    if (this.room && this.room !== room) {
      this.#keep();
      this.#connection.tell({ type: "unsubscribe", room: this.room });
    }
    this.room = room;
    this.log = around === undefined ? this.#takeKept(room, head) : null;
    this.problem = null;
    this.#around = around;
    this.#changed();
    await this.#catchUp();
  }

  /** To be called on every hello: a new connection has no subscriptions. */
  resume() {
    return this.#catchUp();
  }

  /** Leaves the page from the middle of the log for the newest one. */
  async jumpToEnd() {
    if (!this.log || this.log.reachesEnd) return;
    await this.#guarded((isCurrent) => this.#startAfresh(isCurrent));
  }

  async loadOlder() {
    const { log } = this;
    if (!log || log.reachesStart || log.first === undefined) return;
    await this.#fetch(log, { before: log.first }, (page) => log.addOlder(page));
  }

  async loadNewer() {
    const { log } = this;
    if (!log || log.reachesEnd) return;
    // The wire pages backwards only; the page that ends PAGE seqs further on holds all there is in between.
    const before = (log.last ?? 0) + PAGE + 1;
    const toEnd = before > log.cursor.seq;
    await this.#fetch(log, toEnd ? {} : { before }, (page) => log.addNewer(page, toEnd));
  }

  /** @param {EventPush} event */
  heard(event) {
    if (event.room !== this.room || !this.log) return;
    if (this.log.apply(event)) {
      this.dispatchEvent(new CustomEvent("event", { detail: event }));
      this.#changed();
    } else if (event.seq > this.log.cursor.seq && !this.#catchingUp) {
      this.#catchUp();
    }
  }

  /** @param {string} room the push `reset`: the subscription has ended */
  async wasReset(room) {
    this.#kept.delete(room);
    if (room !== this.room) return;
    this.dispatchEvent(new Event("reset"));
    await this.#guarded((isCurrent) => this.#startAfresh(isCurrent));
  }

  /** @param {string} room one whose right has ended: nothing of it stays */
  drop(room) {
    this.#kept.delete(room);
    if (room !== this.room) return;
    this.log = null;
    this.problem = { code: "no_room", message: "no such room" };
    this.#turn++;
    this.#changed();
  }

  #catchUp() {
    return this.#guarded(async (isCurrent) => {
      if (this.log) {
        if (await this.#subscribe(this.log)) return;
        if (!isCurrent()) return;
        this.dispatchEvent(new Event("reset"));
      }
      await this.#startAfresh(isCurrent);
    });
  }

  /** @param {() => boolean} isCurrent */
  async #startAfresh(isCurrent) {
    const room = this.room;
    const around = this.#around;
    if (!room) return;
    /** @type {Page} */
    const page = await this.#connection.request({
      type: "history",
      room,
      limit: PAGE,
      ...(around !== undefined && { around }),
    });
    if (!isCurrent()) return;
    this.#around = undefined;
    const reachesEnd = around === undefined || page.messages.at(-1)?.seq === page.head;
    this.log = new RoomLog(room, page, { reachesEnd });
    this.#changed();
    if (!(await this.#subscribe(this.log)) && isCurrent()) await this.#startAfresh(isCurrent);
  }

  /**
   * @param {RoomLog} log
   * @returns {Promise<boolean>} false if its cursor is refused
   */
  async #subscribe({ room, cursor }) {
    try {
      await this.#connection.request({ type: "subscribe", room, cursor });
      return true;
    } catch (error) {
      if (error instanceof CommandError && error.code === "reset") return false;
      throw error;
    }
  }

  /**
   * Runs one catching up; a later one takes its place, and a lost connection leaves it to the next hello.
   * @param {(isCurrent: () => boolean) => Promise<void>} run
   */
  async #guarded(run) {
    const turn = ++this.#turn;
    const isCurrent = () => turn === this.#turn;
    this.#catchingUp = true;
    try {
      await run(isCurrent);
    } catch (error) {
      if (error instanceof CommandError && isCurrent()) {
        const wasShown = this.log !== null;
        this.problem = { code: error.code, message: error.message };
        this.log = null;
        if (wasShown && error.code === "no_room") this.dispatchEvent(new Event("lost"));
      } else if (!(error instanceof CommandError || error instanceof Disconnected)) {
        throw error;
      }
    } finally {
      if (isCurrent()) {
        this.#catchingUp = false;
        this.#changed();
      }
    }
  }

  /**
   * @param {RoomLog} log
   * @param {{before?: number}} where
   * @param {(page: Page) => void} add
   */
  async #fetch(log, where, add) {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      const page = await this.#connection.request({ type: "history", room: log.room, limit: PAGE, ...where });
      if (this.log === log) add(page);
    } catch (error) {
      // Scrolling on asks again; there is nothing to mend here.
      if (!(error instanceof CommandError || error instanceof Disconnected)) throw error;
    } finally {
      this.#fetching = false;
      this.#changed();
    }
  }

  #keep() {
    if (!this.log?.reachesEnd) return;
    this.#kept.delete(this.log.room);
    this.#kept.set(this.log.room, this.log);
    const [longestAgo] = this.#kept.keys();
    if (this.#kept.size > KEPT_LOGS && longestAgo) this.#kept.delete(longestAgo);
  }

  /**
   * @param {string} room
   * @param {number} head
   */
  #takeKept(room, head) {
    const log = this.#kept.get(room) ?? null;
    this.#kept.delete(room);
    return log && head - log.cursor.seq <= WORTH_CATCHING_UP ? log : null;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
