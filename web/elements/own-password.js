// <own-password>: changes one's password, or sets a first one for whoever signs in elsewhere.
// It must not know the sessions that a change ends.

import { changePassword } from "../rest.js";
import { FormElement } from "./form-element.js";
import { FieldProblem, mindPassword } from "./session-words.js";

/** Dispatches `changed`, which bubbles. */
export class OwnPassword extends FormElement {
  #has = false;

  /** @param {import("../rest.js").SessionUser} me */
  show({ name, password }) {
    this.#has = password;
    this.field("username").value = name;
    this.child("current", HTMLElement).hidden = !password;
    this.find("button[type=submit]", HTMLElement).textContent = password ? "Change password" : "Set a password";
  }

  async send() {
    const password = this.value("password");
    const chosen = this.value("new");
    if (this.#has && !password) throw new FieldProblem("password", "Your password of today is needed too.");
    mindPassword(chosen);
    await changePassword({ ...(this.#has && { password }), new: chosen });
    const words = this.#has ? "Your password is changed, and your other sessions have ended." : "You have a password now.";
    this.clear();
    this.dispatchEvent(new CustomEvent("changed", { bubbles: true, detail: words }));
  }
}

customElements.define("own-password", OwnPassword);
