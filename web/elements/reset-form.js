// <reset-form>: takes a new password in place of a forgotten one, by a link. It must not know where the link came from.

import { resetPassword } from "../rest.js";
import { FormElement } from "./form-element.js";
import { mindPassword } from "./session-words.js";

export class ResetForm extends FormElement {
  #link = "";
  #name = "";
  /** @type {(name: string) => void} */ #changed = () => {};

  /** @param {{changed: (name: string) => void}} handlers told whose password it was */
  connect({ changed }) {
    this.#changed = changed;
  }

  /**
   * @param {string} link
   * @param {string} name whose password it is
   */
  show(link, name) {
    this.#link = link;
    this.#name = name;
    // Password managers look for a name beside a password.
    this.field("username").value = name;
    this.field("new").focus();
  }

  async send() {
    const password = this.value("new");
    mindPassword(password);
    await resetPassword({ link: this.#link, new: password });
    this.clear();
    this.#changed(this.#name);
  }
}

customElements.define("reset-form", ResetForm);
