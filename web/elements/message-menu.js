// <message-menu>: what can be done with one message: a small list beside it, or from below on a narrow page.
// It must not know how any of it is done.

import { mayDelete } from "../models/roles.js";
import { DialogElement } from "./dialog-element.js";

/** @typedef {import("../wire.js").RoomEvent} RoomEvent */
/** @typedef {"copy" | "delete" | "report" | "ignore" | "person"} MessageAct */

const ROOM_BELOW_PX = 260;

export class MessageMenu extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {RoomEvent} */ #message;

  /** @param {{chat: import("../models/chat.js").Chat, carryOut: (act: MessageAct, message: RoomEvent) => void}} parts */
  connect({ chat, carryOut }) {
    this.#chat = chat;
    this.find("dialog", HTMLDialogElement).addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("[data-act]") : null;
      if (!(button instanceof HTMLButtonElement)) return;
      this.close();
      carryOut(/** @type {MessageAct} */ (button.dataset.act), this.#message);
    });
    this.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {RoomEvent} message
   * @param {DOMRect} beside
   */
  show(message, beside) {
    this.#message = message;
    const { me, names, rooms, room } = this.#chat;
    const open = rooms.get(room);
    if (!open) return;
    const own = message.author.id === me.id;
    const name = names.nameOf(message.author);
    this.child("menu-title", HTMLElement).textContent = `Message of ${name}`;
    this.#item("delete").hidden = Boolean(message.redacted) || !mayDelete(open, me, message);
    this.#item("report").hidden = Boolean(message.redacted) || own;
    this.#item("ignore").hidden = own;
    this.#item("ignore").textContent = me.ignores(message.author.id) ? `Stop ignoring ${name}` : `Ignore ${name}`;
    this.#item("person").textContent = `About ${name}`;
    this.#place(beside);
    super.open();
    this.#items[0]?.focus();
  }

  /** @param {DOMRect} beside */
  #place({ top, bottom, right }) {
    const { style } = this.find("dialog", HTMLDialogElement);
    const above = innerHeight - bottom < ROOM_BELOW_PX;
    style.setProperty("--menu-top", above ? "auto" : `${bottom + 4}px`);
    style.setProperty("--menu-bottom", above ? `${innerHeight - top + 4}px` : "auto");
    style.setProperty("--menu-right", `${Math.max(8, innerWidth - right)}px`);
  }

  /** @param {MessageAct} act */
  #item(act) {
    return this.find(`[data-act="${act}"]`, HTMLButtonElement);
  }

  get #items() {
    return [...this.querySelectorAll("button")].filter((button) => button.checkVisibility());
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const items = this.#items;
    const at = items.findIndex((item) => item === document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    items.at(next % items.length)?.focus();
  }
}

customElements.define("message-menu", MessageMenu);
