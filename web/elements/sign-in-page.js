// <sign-in-page>: asks a visitor's name, and says what is wrong with it. It must not know what follows.

import { signIn } from "../rest.js";
import { PartElement } from "./part-element.js";
import { whyRefused } from "./session-words.js";

/** @typedef {import("../rest.js").SessionUser} SessionUser */

export class SignInPage extends PartElement {
  /** @type {(user: SessionUser) => void} */ #done = () => {};

  connectedCallback() {
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => this.#submit(event));
  }

  /**
   * @param {string} [note] why one is asked again
   * @returns {Promise<SessionUser>}
   */
  ask(note = "") {
    this.say("note", note);
    this.hidden = false;
    this.#field("name").focus();
    return new Promise((resolve) => {
      this.#done = (user) => {
        this.hidden = true;
        resolve(user);
      };
    });
  }

  /** @param {string} name */
  #field(name) {
    return this.find(`[name=${name}]`, HTMLInputElement);
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const button = this.find("button[type=submit]", HTMLButtonElement);
    const name = this.#field("name").value.trim();
    const email = this.#field("email").value.trim();
    if (!name) {
      this.#problem("A name is needed, any name.");
      return;
    }
    button.disabled = true;
    try {
      this.#done(await signIn({ name, ...(email && { email }) }));
    } catch (error) {
      this.#problem(whyRefused(error, name));
    } finally {
      button.disabled = false;
    }
  }

  /** @param {string} words */
  #problem(words) {
    const field = this.#field("name");
    this.child("problem", HTMLElement).textContent = words;
    field.ariaInvalid = "true";
    field.select();
  }
}

customElements.define("sign-in-page", SignInPage);
