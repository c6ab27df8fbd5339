// <delete-account>: ends one's account, or a guest's stay, and takes what was said along.
// It must not know what the page does then.

import { deleteAccount } from "../rest.js";
import { FormElement } from "./form-element.js";
import { FieldProblem } from "./session-words.js";

export class DeleteAccount extends FormElement {
  #hasPassword = false;
  /** @type {() => void} */ #deleted = () => {};

  /** @param {{deleted: () => void}} handlers */
  connect({ deleted }) {
    this.#deleted = deleted;
  }

  /** @param {import("../rest.js").SessionUser} me */
  show({ name, guest, password }) {
    this.#hasPassword = password;
    this.field("username").value = name;
    this.child("what", HTMLElement).textContent = guest ? "Your stay as a guest" : `The account ${name}`;
    this.child("proof", HTMLElement).hidden = !password;
    this.find("button[type=submit]", HTMLElement).textContent = guest ? "Delete all that is mine" : "Delete my account";
  }

  async send() {
    const password = this.value("password");
    if (this.#hasPassword && !password) throw new FieldProblem("password", "Your password is needed for this.");
    if (!this.field("sure").checked) throw new FieldProblem("sure", "Say that you know it, first.");
    await deleteAccount(this.#hasPassword ? { password } : {});
    this.#deleted();
  }
}

customElements.define("delete-account", DeleteAccount);
