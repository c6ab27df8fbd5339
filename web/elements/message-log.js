// <message-log>: shows the open room's log and minds the scrolling: at the end it follows, further up it never moves
// under the reader; nearing an edge asks for the next page. What there is to show is decided by models/rows.js; this
// must not know the wire.

import { buildRows } from "../models/rows.js";
import { countLabel, inWords } from "../models/rooms.js";
import { PartElement } from "./part-element.js";
import { Roving } from "./roving.js";
import { RowKeeper } from "./row-keeper.js";

const AT_END_PX = 48;
const NEAR_EDGE_PX = 600;
const LINE_FROM_TOP_PX = 72;
const PILL_AFTER_SCREENS = 1;
const HUSHED_MS = 500;

/** @typedef {{message: import("../wire.js").RoomEvent, button: HTMLElement}} MenuWanted */
/** @typedef {"line" | "end" | number} Landing where a newly shown log is scrolled to; a number is a message's seq */

/** Dispatches `menu` with MenuWanted, and `person` with a message's author. */
export class MessageLog extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {import("../models/times.js").Times} */ #times;
  /** @type {HTMLElement} */ #scroll;
  /** @type {RowKeeper} */ #rows;
  /** @type {Roving} */ #menus;
  /** @type {Set<number>} what people whom one ignores have written, and one wants to read */ #opened = new Set();
  /** @type {import("../models/room-log.js").RoomLog | null} */ #shown = null;
  /** @type {Landing} */ #landing = "line";
  #firstShown = 0;
  #atEnd = true;
  #drawSoon = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #hushTimer;

  /**
   * @param {import("../models/chat.js").Chat} chat
   * @param {import("../models/times.js").Times} times
   */
  connect(chat, times) {
    this.#chat = chat;
    this.#times = times;
    this.#scroll = this.child("scroll", HTMLElement);
    this.#rows = new RowKeeper(this.child("rows", HTMLElement));
    this.#menus = new Roving(this.child("rows", HTMLElement), ".message__more");

    for (const model of [chat.follower, chat.unsent, chat.reading, chat.names, chat.rooms, chat.me]) {
      model.addEventListener("change", () => this.#soon());
    }
    chat.addEventListener("post", () => this.toEnd());
    this.#scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#atEnd && this.#stickToEnd()).observe(this.#scroll);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) chat.reading.look(false, 0);
      this.#soon();
    });
    this.child("pill", HTMLElement).addEventListener("click", () => this.toEnd());
    this.child("empty-again", HTMLElement).addEventListener("click", () => chat.room && chat.open(chat.room));
    this.addEventListener("click", (event) => this.#acted(event));
  }

  /** @param {Landing} landing for the log that is about to be shown */
  landAt(landing) {
    this.#landing = landing;
    this.#shown = null;
    this.#soon();
  }

  /** To the newest message, through a fresh page if the window does not reach it. */
  toEnd() {
    const { follower } = this.#chat;
    if (!follower.log?.reachesEnd) {
      this.#landing = "end";
      follower.jumpToEnd();
      return;
    }
    this.#atEnd = true;
    this.#soon();
  }

  // Many events may come in one burst: draw once a frame. A hidden page gets no frames, but must know its title.
  #soon() {
    if (this.#drawSoon) return;
    this.#drawSoon = true;
    const draw = () => {
      this.#drawSoon = false;
      this.#draw();
    };
    if (document.hidden) setTimeout(draw);
    else requestAnimationFrame(draw);
  }

  #draw() {
    const { follower } = this.#chat;
    const { log } = follower;
    this.#drawEmpty();
    if (!log) {
      this.#rows.clear();
      this.#shown = null;
      this.#drawPill();
      return;
    }

    if (this.#atEnd) log.dropOldest();
    else log.dropNewest();
    const isNew = log !== this.#shown;
    if (isNew || (log.first ?? 0) < this.#firstShown) this.#hush();
    if (isNew) {
      if (log.room !== this.#shown?.room) this.#opened.clear();
      this.#rows.clear();
      this.#drawRows(log);
      this.#land();
    } else if (this.#atEnd) {
      this.#drawRows(log);
      this.#stickToEnd();
    } else {
      this.#holding(() => this.#drawRows(log));
    }
    this.#shown = log;
    this.#firstShown = log.first ?? 0;
    this.#afterwards(log);
  }

  // A page of what was said long ago is no news: screen readers are to tell of new messages only.
  #hush() {
    clearTimeout(this.#hushTimer);
    this.#scroll.ariaLive = "off";
    this.#hushTimer = setTimeout(() => (this.#scroll.ariaLive = "polite"), HUSHED_MS);
  }

  /** @param {import("../models/room-log.js").RoomLog} log */
  #drawRows(log) {
    const { user, me, unsent, reading, names, rooms } = this.#chat;
    const rows = buildRows({
      log,
      unsent: unsent.of(log.room),
      line: reading.line,
      me: user,
      dayKey: (at) => this.#times.dayKey(at),
      ignores: (id) => me.ignores(id),
      opened: this.#opened,
    });
    const room = rooms.get(log.room);
    const roomName = room ? inWords(room) : log.room;
    this.#rows.update(rows, { room: log.room, roomName, me: user.id, names, times: this.#times });
    this.#menus.settle();
  }

  /** @param {import("../models/room-log.js").RoomLog} log */
  #afterwards(log) {
    this.#measure();
    const seeing = this.#atEnd && log.reachesEnd && !document.hidden;
    this.#chat.reading.look(seeing, log.cursor.seq);
    this.#drawPill();
    this.#fetchNearEdge(log);
  }

  #scrolled() {
    const { log } = this.#chat.follower;
    if (log && log === this.#shown) this.#afterwards(log);
  }

  #measure() {
    this.#atEnd = this.#belowView() < AT_END_PX;
  }

  #belowView() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight;
  }

  /** @param {import("../models/room-log.js").RoomLog} log */
  #fetchNearEdge(log) {
    if (!log.reachesStart && this.#scroll.scrollTop < NEAR_EDGE_PX) this.#chat.follower.loadOlder();
    else if (!log.reachesEnd && this.#belowView() < NEAR_EDGE_PX) this.#chat.follower.loadNewer();
  }

  #land() {
    const landing = this.#landing;
    this.#landing = "end";
    if (typeof landing === "number") {
      const target = this.querySelector(`[data-seq="${landing}"]`);
      if (target) {
        target.scrollIntoView({ block: "center" });
        target.classList.add("message--sought");
        return;
      }
    }
    this.#stickToEnd();
    const line = landing === "line" && this.#rows.elementOf("unread");
    if (!line) return;
    const above = this.#scroll.getBoundingClientRect().top + LINE_FROM_TOP_PX - line.getBoundingClientRect().top;
    if (above > 0) this.#scroll.scrollTop -= above;
  }

  #stickToEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /**
   * Changes the rows without moving what is being read: the topmost row in view stays where it is.
   * @param {() => void} change
   */
  #holding(change) {
    const top = this.#scroll.getBoundingClientRect().top;
    const rows = [...this.child("rows", HTMLElement).children];
    const inView = rows.filter((row) => row.getBoundingClientRect().bottom > top);
    const before = inView.map((row) => row.getBoundingClientRect().top);
    change();
    const index = inView.findIndex((row) => row.isConnected && row.classList.contains("message"));
    const held = inView[index];
    if (held) this.#scroll.scrollTop += held.getBoundingClientRect().top - (before[index] ?? 0);
  }

  #drawPill() {
    const { follower, rooms } = this.#chat;
    const { log } = follower;
    const pill = this.child("pill", HTMLElement);
    const unread = rooms.get(follower.room)?.unread ?? 0;
    const farUp = this.#belowView() > this.#scroll.clientHeight * PILL_AFTER_SCREENS;
    pill.hidden = !log || this.#atEnd && log.reachesEnd || (unread === 0 && !farUp && log.reachesEnd);
    pill.classList.toggle("log__pill--new", unread > 0);
    const words = unread > 0 ? `${countLabel(unread)} new ${unread === 1 ? "message" : "messages"}` : "Newest";
    this.child("pill-words", HTMLElement).textContent = words;
  }

  #drawEmpty() {
    const { follower, rooms, connection } = this.#chat;
    const { log, problem } = follower;
    const empty = this.child("empty", HTMLElement);
    const quiet = log?.entries.length === 0 && log.reachesStart && this.#chat.unsent.of(log.room).length === 0;
    const room = rooms.get(follower.room);
    const name = room ? inWords(room) : "";
    let words = "";
    if (problem) words = problem.code === "no_room" ? "There is no such room." : `This room cannot be shown: ${problem.message}.`;
    else if (quiet) words = `Nothing has been said in ${name} yet. Go on, start a chinwag.`;
    else if (!log && connection.live) words = "One moment…";
    empty.hidden = words === "";
    empty.classList.toggle("log__empty--waiting", !log && !problem);
    this.say("empty-words", words);
    this.child("empty-again", HTMLElement).hidden = !problem || problem.code === "no_room";
    this.child("rows", HTMLElement).hidden = Boolean(quiet);
  }

  /** @param {Event} event */
  #acted({ target }) {
    if (!(target instanceof Element)) return;
    const button = target.closest("button");
    const { action, txn, seqs } = button?.dataset ?? {};
    if (action === "retry" && txn) this.#chat.retry(txn);
    else if (action === "discard" && txn) this.#chat.unsent.discard(txn);
    else if (action === "open" && seqs) this.#unfold(seqs.split(" ").map(Number));
    else this.#askedAbout(target);
  }

  /** @param {number[]} seqs */
  #unfold(seqs) {
    for (const seq of seqs) this.#opened.add(seq);
    this.#soon();
  }

  /** @param {Element} target */
  #askedAbout(target) {
    const article = target.closest("article");
    const seq = Number(article?.dataset.seq);
    const message = this.#chat.follower.log?.entries.find((entry) => entry.seq === seq);
    const button = target.closest(".message__more");
    if (!message) return;
    if (button instanceof HTMLElement) this.dispatchEvent(new CustomEvent("menu", { detail: { message, button } }));
    else if (target.closest(".message__author, .message__avatar")) this.dispatchEvent(new CustomEvent("person", { detail: message.author }));
  }
}

customElements.define("message-log", MessageLog);
