// <typing-line>: who is typing, in one line that is always there, so that nothing jumps.
// It must not know how long an entry lasts.

import { typingSentence } from "../models/typing.js";
import { PartElement } from "./part-element.js";

export class TypingLine extends PartElement {
  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    const draw = () => {
      const names = chat.typing.users.map((user) => chat.names.nameOf(user));
      this.child("words", HTMLElement).textContent = typingSentence(names);
      this.classList.toggle("typing--some", names.length > 0);
    };
    chat.typing.addEventListener("change", draw);
    chat.names.addEventListener("change", draw);
    draw();
  }
}

customElements.define("typing-line", TypingLine);
