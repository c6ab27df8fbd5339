// <message-composer>: where messages are written. Enter sends, Shift+Enter makes a line, the box grows with its text,
// and what was begun in a room is there again on coming back. Where one may not write it says why, and opens by itself.
// It must not know whether there is a connection.

import { slowFor, whyClosed } from "../models/writing.js";
import { PartElement } from "./part-element.js";

const LOOK_AGAIN_MS = 1_000;

const bytes = new TextEncoder();

export class MessageComposer extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {HTMLTextAreaElement} */ #text;
  /** @type {import("../models/times.js").Times} */ #times;
  /** @type {string | null} */ #room = null;
  #waitMs = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /**
   * @param {import("../models/chat.js").Chat} chat
   * @param {import("../models/times.js").Times} times
   */
  connect(chat, times) {
    this.#chat = chat;
    this.#times = times;
    this.#text = this.child("text", HTMLTextAreaElement);
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => this.#submit(event));
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("input", () => this.#input());
    chat.addEventListener("open", () => this.#enter());
    chat.rooms.addEventListener("change", () => this.#name());
    for (const model of [chat.rooms, chat.me, chat.follower, chat.unsent]) model.addEventListener("change", () => this.#look());
    chat.follower.addEventListener("change", () => (this.hidden = chat.follower.problem !== null));
    addEventListener("pagehide", () => chat.drafts.flush());
    new ResizeObserver(() => this.#fit()).observe(this);
  }

  focusText() {
    this.#text.focus();
  }

  #enter() {
    if (this.#room !== this.#chat.room) {
      this.#room = this.#chat.room;
      this.#text.value = this.#room ? this.#chat.drafts.get(this.#room) : "";
      this.#changed();
    }
    this.#name();
  }

  #name() {
    const { name = "", kind } = this.#chat.rooms.get(this.#room) ?? {};
    this.#text.placeholder = `Write ${kind === "direct" ? "to" : "in"} ${name}`;
    this.child("label", HTMLElement).textContent = `Message ${name}`;
  }

  // Time opens what time has closed: while it does, look again every second.
  #look() {
    clearTimeout(this.#timer);
    const { rooms, me, follower, unsent } = this.#chat;
    const room = rooms.get(this.#chat.room);
    if (!room) return;
    const now = Date.now();
    const closed = whyClosed(room, me, now);
    const had = document.activeElement;
    const line = this.child("closed", HTMLElement);
    this.say("closed", closed ? this.#words(closed) : "");
    this.find("form", HTMLFormElement).hidden = closed !== null;
    this.child("hint", HTMLElement).hidden = closed !== null;
    if (closed && had !== line && this.contains(had)) line.focus();
    else if (!closed && had === line) this.#text.focus();

    const waitMs = slowFor({ room, me, log: follower.log, unsent: unsent.of(room.room), now });
    if (waitMs !== this.#waitMs) {
      this.#waitMs = waitMs;
      this.#changed();
    }
    if (waitMs > 0 || closed === "muted") this.#timer = setTimeout(() => this.#look(), LOOK_AGAIN_MS);
  }

  /** @param {import("../models/writing.js").Closed} closed */
  #words(closed) {
    if (closed === "archived") return "This room is archived: it is there to be read.";
    if (closed === "announcement") return "Only moderators write here.";
    return `You are muted ${this.#times.until(this.#chat.me.mutedUntil)}.`;
  }

  #input() {
    if (this.#room) this.#chat.drafts.set(this.#room, this.#text.value);
    if (this.#text.value.trim()) this.#chat.typed();
    this.#changed();
  }

  // Spaces at the beginning of a line mean something in Markdown, empty lines around the text do not.
  get #written() {
    return this.#text.value.replace(/^\s*\n/, "").trimEnd();
  }

  get #tooLongBy() {
    return bytes.encode(this.#written).length - this.#chat.textBytes;
  }

  #changed() {
    this.#fit();
    const over = this.#tooLongBy;
    this.say("problem", over > 0 ? `Too long by ${over} ${over === 1 ? "byte" : "bytes"}.` : "");
    const seconds = Math.ceil(this.#waitMs / 1000);
    this.say("slow", seconds > 0 ? `Slow mode: the next message may go in ${seconds} s.` : "");
    this.find("button[type=submit]", HTMLButtonElement).disabled = over > 0 || seconds > 0 || !this.#written;
  }

  // Measuring makes the box small for a moment; were the composer to follow, the log above would lose its place.
  #fit() {
    this.style.minHeight = `${this.offsetHeight}px`;
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    this.style.minHeight = "";
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While an input method composes, Enter belongs to it; Safari ends the composition before it tells of the key.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || event.altKey || composing) return;
    this.#submit(event);
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.#written;
    if (!text || !this.#room || this.#tooLongBy > 0 || this.#waitMs > 0) return;
    this.#chat.post(text);
    this.#text.value = "";
    this.#chat.drafts.set(this.#room, "");
    this.#changed();
    this.#text.focus();
  }
}

customElements.define("message-composer", MessageComposer);
