// <guest-form>: comes in by a name alone. It must not know what follows, nor where an invite came from.

import { signIn } from "../rest.js";
import { FormElement } from "./form-element.js";
import { mindName } from "./session-words.js";

/** @typedef {import("../rest.js").Entered} Entered */

export class GuestForm extends FormElement {
  /** @type {string | undefined} the invite to come in by */ invite;
  /** @type {(entered: Entered) => void} */ #entered = () => {};

  /** @param {{entered: (entered: Entered) => void}} handlers */
  connect({ entered }) {
    this.#entered = entered;
  }

  async send() {
    const name = this.value("name");
    const email = this.value("email");
    mindName(name);
    this.#entered(await signIn({ name, ...(email && { email }), ...(this.invite && { invite: this.invite }) }));
  }
}

customElements.define("guest-form", GuestForm);
