// <edit-profile>: one's own name and e-mail, the keyboard's shortcuts, and the way out.
// It must not know what follows from signing out.

import { changeUser, currentUser } from "../rest.js";
import { DialogElement } from "./dialog-element.js";
import { whyRefused } from "./session-words.js";
import { SHORTCUTS } from "./shortcuts.js";

export class EditProfile extends DialogElement {
  #email = "";

  /** @param {{signOut: () => void}} handlers */
  connect({ signOut }) {
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => this.#submit(event));
    this.child("sign-out", HTMLElement).addEventListener("click", signOut);
    this.child("keys", HTMLElement).replaceChildren(...SHORTCUTS.flatMap(describe));
  }

  async open() {
    this.problem("", this.#field("name"));
    super.open();
    try {
      const user = await currentUser();
      if (!user) return;
      this.#email = user.email ?? "";
      this.#field("name").value = user.name;
      this.#field("email").value = this.#email;
      this.child("guest-hint", HTMLElement).hidden = !user.guest;
      this.#field("name").select();
    } catch (error) {
      this.problem(whyRefused(error, ""), this.#field("name"));
    }
  }

  /** @param {string} name */
  #field(name) {
    return this.find(`[name=${name}]`, HTMLInputElement);
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const name = this.#field("name").value.trim();
    const email = this.#field("email").value.trim();
    if (!name) {
      this.problem("A name is needed.", this.#field("name"));
      return;
    }
    try {
      await changeUser({ name, ...(email !== this.#email && { email: email || null }) });
      this.close();
    } catch (error) {
      this.problem(whyRefused(error, name), this.#field("name"));
    }
  }
}

/** @param {{keys: string, does: string}} shortcut */
function describe({ keys, does }) {
  const term = document.createElement("dt");
  const kbd = document.createElement("kbd");
  kbd.textContent = keys;
  term.append(kbd);
  const words = document.createElement("dd");
  words.textContent = does;
  return [term, words];
}

customElements.define("edit-profile", EditProfile);
