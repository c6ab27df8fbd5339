// <place-menu>: the way to what those with a role look after: the place's settings, invites, reports, bans and the
// audit log. It must not know what any of them holds.

import { isAtLeast } from "../models/roles.js";
import { DialogElement } from "./dialog-element.js";

/** @typedef {import("../wire.js").Role} Role */

export class PlaceMenu extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    this.find("dialog", HTMLDialogElement).addEventListener("click", ({ target }) => {
      if (target instanceof Element && target.closest("[data-open]")) this.close();
    });
  }

  open() {
    const { me, place } = this.#chat;
    this.child("menu-title", HTMLElement).textContent = place.name;
    for (const item of this.querySelectorAll("[data-least]")) {
      if (!(item instanceof HTMLElement)) continue;
      item.hidden = !isAtLeast(me.role, /** @type {Role} */ (item.dataset.least));
    }
    super.open();
  }
}

customElements.define("place-menu", PlaceMenu);
