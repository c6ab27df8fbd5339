// <message-composer>: where messages are written. Enter sends, Shift+Enter makes a line, the box grows with its text,
// and what was begun in a room is there again on coming back. It must not know whether there is a connection.

import { PartElement } from "./part-element.js";

const bytes = new TextEncoder();

export class MessageComposer extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {HTMLTextAreaElement} */ #text;
  /** @type {string | null} */ #room = null;

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    this.#text = this.child("text", HTMLTextAreaElement);
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => this.#submit(event));
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("input", () => this.#input());
    chat.addEventListener("open", () => this.#enter());
    chat.rooms.addEventListener("change", () => this.#name());
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
    const name = this.#chat.rooms.get(this.#room)?.name ?? "";
    this.#text.placeholder = `Write in ${name}`;
    this.child("label", HTMLElement).textContent = `Message ${name}`;
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
    this.find("button[type=submit]", HTMLButtonElement).disabled = over > 0 || !this.#written;
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
    if (!text || !this.#room || this.#tooLongBy > 0) return;
    this.#chat.post(text);
    this.#text.value = "";
    this.#chat.drafts.set(this.#room, "");
    this.#changed();
    this.#text.focus();
  }
}

customElements.define("message-composer", MessageComposer);
