// The base of the page's dialogs: opening, closing by button, Escape or a click beside it, and a form's one problem.
// The browser's own <dialog> keeps the focus inside and gives it back. It must not know what a dialog is for.

import { PartElement } from "./part-element.js";

export class DialogElement extends PartElement {
  /** @type {HTMLDialogElement} */ #dialog;

  connectedCallback() {
    this.#dialog = this.find("dialog", HTMLDialogElement);
    this.find("[data-close]", HTMLButtonElement).addEventListener("click", () => this.close());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.close();
    });
  }

  open() {
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  close() {
    this.#dialog.close();
  }

  /**
   * @param {string} words what is wrong with the field; empty when nothing is
   * @param {HTMLInputElement} field
   */
  problem(words, field) {
    this.child("problem", HTMLElement).textContent = words;
    field.ariaInvalid = words ? "true" : null;
    if (words) field.focus();
  }
}
