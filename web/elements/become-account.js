// <become-account>: makes an account of a guest, who keeps name, messages and rooms.
// It must not know what a guest cannot do.

import { makeAccount } from "../rest.js";
import { FormElement } from "./form-element.js";
import { mindPassword } from "./session-words.js";

/** Dispatches `changed`, which bubbles. */
export class BecomeAccount extends FormElement {
  #name = "";

  /** @param {import("../rest.js").SessionUser} me */
  show({ name, email = "" }) {
    this.#name = name;
    this.field("username").value = name;
    if (!this.value("email")) this.field("email").value = email;
  }

  askedName() {
    return this.#name;
  }

  async send() {
    const password = this.value("new");
    const email = this.value("email");
    mindPassword(password);
    await makeAccount({ name: this.#name, password, ...(email && { email }) });
    this.clear();
    const words = `You have an account now. Sign in as ${this.#name} with your password, from anywhere.`;
    this.dispatchEvent(new CustomEvent("changed", { bubbles: true, detail: words }));
  }
}

customElements.define("become-account", BecomeAccount);
