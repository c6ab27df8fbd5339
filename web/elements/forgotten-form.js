// <forgotten-form>: asks for a link by mail to whoever has forgotten their password. The answer is the same whether
// there is such an account or not, and so are the words. It must not know how one signs in.

import { forgotPassword } from "../rest.js";
import { FormElement } from "./form-element.js";
import { FieldProblem } from "./session-words.js";

export class ForgottenForm extends FormElement {
  /** @type {(note: string) => void} */ #back = () => {};

  /** @param {{back: (note: string) => void}} handlers */
  connect({ back }) {
    this.#back = back;
    this.child("back", HTMLElement).addEventListener("click", () => back(""));
  }

  /** @param {string} login what was tried already */
  show(login) {
    this.clear();
    this.field("login").value = login;
    this.field("login").focus();
  }

  async send() {
    const login = this.value("login");
    if (!login) throw new FieldProblem("login", "Which name or e-mail is yours?");
    await forgotPassword(login);
    this.#back("If that is an account with an e-mail, a link is on its way there.");
  }
}

customElements.define("forgotten-form", ForgottenForm);
