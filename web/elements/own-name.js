// <own-name>: one's name and e-mail. It must not know who else learns of them.

import { changeUser } from "../rest.js";
import { FormElement } from "./form-element.js";
import { mindName } from "./session-words.js";

/** @typedef {import("../rest.js").SessionUser} SessionUser */

const USES = {
  guest: "Only for finding your Gravatar picture; never shown.",
  account: "For signing in, a forgotten password and your Gravatar picture; never shown.",
};

export class OwnName extends FormElement {
  #name = "";
  #email = "";
  /** @type {() => void} */ #saved = () => {};

  /** @param {{saved: () => void}} handlers */
  connect({ saved }) {
    this.#saved = saved;
  }

  /** @param {SessionUser} me */
  show({ name, email = "", email_verified, guest }) {
    // What was begun here is not overwritten by what another part of the page brought about.
    if (this.value("name") === this.#name) this.field("name").value = name;
    if (this.value("email") === this.#email) this.field("email").value = email;
    this.#name = name;
    this.#email = email;
    const confirmed = email_verified ? " It is confirmed." : "";
    this.child("email-hint", HTMLElement).textContent = guest ? USES.guest : USES.account + confirmed;
  }

  /** Forgets what was begun. */
  clear() {
    super.clear();
    this.#name = "";
    this.#email = "";
  }

  async send() {
    const name = this.value("name");
    const email = this.value("email");
    mindName(name);
    await changeUser({ name, ...(email !== this.#email && { email: email || null }) });
    this.#saved();
  }
}

customElements.define("own-name", OwnName);
