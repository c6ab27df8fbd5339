// <report-message>: tells the moderators of a message, and why. It must not know who they are.

import { reportMessage } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";

export class ReportMessage extends DialogElement {
  #room = "";
  #seq = 0;

  /** @param {{tell: (words: string) => void}} parts */
  connect({ tell }) {
    this.find("form", HTMLFormElement).addEventListener("submit", async (event) => {
      event.preventDefault();
      const reason = this.#reason.value.trim();
      if (!reason) {
        this.child("trouble", HTMLElement).textContent = "Say in a few words what is wrong with it.";
        this.#reason.focus();
        return;
      }
      if (!(await this.attempt(() => reportMessage(this.#room, this.#seq, reason)))) return;
      this.close();
      tell("The moderators have been told. Thank you.");
    });
  }

  /**
   * @param {string} room
   * @param {number} seq
   * @param {string} author
   */
  show(room, seq, author) {
    this.#room = room;
    this.#seq = seq;
    this.#reason.value = "";
    this.child("trouble", HTMLElement).textContent = "";
    this.child("reported", HTMLElement).textContent = author;
    super.open();
  }

  get #reason() {
    return this.find("textarea", HTMLTextAreaElement);
  }
}

customElements.define("report-message", ReportMessage);
