// <password-form>: signs in by name or e-mail and password, asks for the second factor's code where the server does,
// and sends a link to who has forgotten the password. It must not know what follows.

import { RestError, signIn } from "../rest.js";
import { FormElement } from "./form-element.js";
import { FieldProblem } from "./session-words.js";

/** @typedef {import("../rest.js").Entered} Entered */

export class PasswordForm extends FormElement {
  /** @type {(entered: Entered) => void} */ #entered = () => {};

  /** @param {{entered: (entered: Entered) => void, forgotten: () => void}} handlers */
  connect({ entered, forgotten }) {
    this.#entered = entered;
    this.child("forgotten", HTMLElement).addEventListener("click", forgotten);
  }

  /** @param {{login?: string, mail: boolean}} facts who is likely to come, and whether a link can be mailed */
  show({ login, mail }) {
    if (login) this.field("login").value = login;
    this.#askForCode(false);
    this.child("forgotten", HTMLElement).hidden = !mail;
    this.child("ask-an-admin", HTMLElement).hidden = mail;
  }

  async send() {
    const login = this.value("login");
    const password = this.value("password");
    const code = this.value("code");
    if (!login) throw new FieldProblem("login", "Which name or e-mail is yours?");
    if (!password) throw new FieldProblem("password", "A password is needed.");
    try {
      const entered = await signIn({ login, password, ...(code && { code }) });
      this.clear();
      this.#entered(entered);
    } catch (error) {
      const asked = error instanceof RestError && error.code === "second_factor";
      this.#askForCode(asked);
      if (!asked || code) throw error;
      this.field("code").focus();
    }
  }

  // The password was right where a code is asked for, so that only the code is left to say.
  /** @param {boolean} asked */
  #askForCode(asked) {
    this.child("code", HTMLElement).hidden = !asked;
    if (!asked) this.field("code").value = "";
  }
}

customElements.define("password-form", PasswordForm);
