// <confirm-dialog>: asks once more before what cannot be undone. It must not know what it asks about.

import { DialogElement } from "./dialog-element.js";

/** @typedef {{title: string, words: string, action: string}} Question */

export class ConfirmDialog extends DialogElement {
  #agreed = false;

  connectedCallback() {
    super.connectedCallback();
    this.child("confirm", HTMLButtonElement).addEventListener("click", () => {
      this.#agreed = true;
      this.close();
    });
  }

  /**
   * @param {Question} question
   * @returns {Promise<boolean>} whether it is to be done
   */
  ask({ title, words, action }) {
    this.#agreed = false;
    this.child("confirm-title", HTMLElement).textContent = title;
    this.child("confirm-words", HTMLElement).textContent = words;
    this.child("confirm", HTMLElement).textContent = action;
    this.open();
    return new Promise((resolve) => {
      this.find("dialog", HTMLDialogElement).addEventListener("close", () => resolve(this.#agreed), { once: true });
    });
  }
}

customElements.define("confirm-dialog", ConfirmDialog);
