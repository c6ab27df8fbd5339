// <copy-text>: something that is shown once, to be copied by a button or by hand. It must not know what it is.

import { PartElement } from "./part-element.js";

export class CopyText extends PartElement {
  connectedCallback() {
    this.find("button", HTMLButtonElement).addEventListener("click", () => this.#copy());
  }

  /** @param {string} text empty: out of sight */
  show(text) {
    this.hidden = !text;
    this.#text.value = text;
    this.#text.rows = text.split("\n").length;
    this.child("copied", HTMLElement).textContent = "";
    if (text) this.#text.select();
  }

  get #text() {
    return this.find("textarea", HTMLTextAreaElement);
  }

  // Without HTTPS a browser has no clipboard for pages; the selection is what is left.
  async #copy() {
    this.#text.select();
    let words = "Copied.";
    try {
      await navigator.clipboard.writeText(this.#text.value);
    } catch {
      words = "It is selected: copy it with Ctrl or ⌘ + C.";
    }
    this.child("copied", HTMLElement).textContent = words;
  }
}

customElements.define("copy-text", CopyText);
