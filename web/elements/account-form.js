// <account-form>: makes an account with a password, by an invite or an owner's link where there is one.
// It must not know what follows, nor where the link came from.

import { makeAccount } from "../rest.js";
import { FormElement } from "./form-element.js";
import { mindName, mindPassword } from "./session-words.js";

/** @typedef {import("../rest.js").Entered} Entered */

export class AccountForm extends FormElement {
  /** @type {string | undefined} the link to come in by */ invite;
  /** @type {(entered: Entered) => void} */ #entered = () => {};

  /** @param {{entered: (entered: Entered) => void}} handlers */
  connect({ entered }) {
    this.#entered = entered;
  }

  /** @param {{name?: string, owner: boolean}} facts who is here as a guest already, and whether the place will be theirs */
  show({ name, owner }) {
    if (name) this.field("name").value = name;
    this.find("button[type=submit]", HTMLElement).textContent = owner ? "Own this place" : "Make my account";
  }

  async send() {
    const name = this.value("name");
    const password = this.value("new");
    const email = this.value("email");
    mindName(name);
    mindPassword(password);
    const entered = await makeAccount({ name, password, ...(email && { email }), ...(this.invite && { invite: this.invite }) });
    this.clear();
    this.#entered(entered);
  }
}

customElements.define("account-form", AccountForm);
