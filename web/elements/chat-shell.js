// <chat-shell>: the three columns, of which the outer two are drawers where the page is narrow, and the keyboard's
// way around. It must not know what stands in the columns.

import { shortcutOf } from "./shortcuts.js";
import { PartElement } from "./part-element.js";

/** @typedef {import("./shortcuts.js").Shortcut} Shortcut */

const DRAWERS = ["rooms", "people"];

export class ChatShell extends PartElement {
  /** @type {string | null} */ #open = null;
  /** @type {HTMLElement | null} */ #openedBy = null;

  /** @param {(shortcut: Shortcut) => void} carryOut */
  connect(carryOut) {
    this.addEventListener("click", (event) => this.#clicked(event));
    document.addEventListener("keydown", (event) => {
      const shortcut = shortcutOf(event);
      if (!shortcut || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (shortcut === "escape" && this.#open) this.closeDrawer();
      else carryOut(shortcut);
      if (shortcut !== "write") event.preventDefault();
    });
    // A drawer that is a column now needs no veil, nor the rest to be out of reach.
    for (const query of ["(min-width: 48rem)", "(min-width: 70rem)"]) {
      matchMedia(query).addEventListener("change", () => this.closeDrawer());
    }
  }

  closeDrawer() {
    if (!this.#open) return;
    this.#show(null);
    this.#openedBy?.focus();
    this.#openedBy = null;
  }

  /** @param {Event} event */
  #clicked(event) {
    if (!(event.target instanceof Element)) return;
    const opener = event.target.closest("[data-drawer-open]");
    if (opener instanceof HTMLElement) {
      this.#openedBy = opener;
      this.#show(opener.dataset.drawerOpen ?? null);
      this.find(".drawer--open .drawer__close", HTMLElement).focus();
    } else if (event.target.closest("[data-drawer-close]")) {
      this.closeDrawer();
    }
  }

  /** @param {string | null} name */
  #show(name) {
    this.#open = name;
    for (const drawer of DRAWERS) {
      const element = this.find(`#${drawer}`, HTMLElement);
      element.classList.toggle("drawer--open", drawer === name);
      element.inert = name !== null && drawer !== name;
      this.find(`[data-drawer-open="${drawer}"]`, HTMLElement).ariaExpanded = String(drawer === name);
    }
    this.find("#room", HTMLElement).inert = name !== null;
    this.classList.toggle("shell--veiled", name !== null);
  }
}

customElements.define("chat-shell", ChatShell);
