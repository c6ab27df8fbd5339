// The base of the page's dialogs: opening, closing by button, Escape or a click beside it, a form's one problem, and
// telling why something was refused. The browser's own <dialog> keeps the focus inside and gives it back. It must not
// know what a dialog is for.

import { PartElement } from "./part-element.js";
import { whyNot } from "./refusal-words.js";

export class DialogElement extends PartElement {
  /** @type {HTMLDialogElement} */ #dialog;

  connectedCallback() {
    this.#dialog = this.find("dialog", HTMLDialogElement);
    this.find("[data-close]", HTMLButtonElement).addEventListener("click", () => this.close());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.close();
    });
  }

  get isOpen() {
    return this.#dialog.open;
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

  /**
   * Does what was asked for, and tells in the dialog why it was refused.
   * @param {() => Promise<void>} act
   * @returns {Promise<boolean>} whether it was done
   */
  async attempt(act) {
    const place = this.child("trouble", HTMLElement);
    place.textContent = "";
    try {
      await act();
      return true;
    } catch (error) {
      place.textContent = whyNot(error);
      return false;
    }
  }
}
