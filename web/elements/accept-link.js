// <accept-link>: an invite or an owner's link in the hand of somebody who is signed in already: take it, or go on
// without. It must not know how one signs in.

import { acceptLink } from "../rest.js";
import { FormElement } from "./form-element.js";

/** @typedef {import("../rest.js").Entered} Entered */
/** @typedef {import("../rest.js").SessionUser} SessionUser */

export class AcceptLink extends FormElement {
  #link = "";
  /** @type {SessionUser | null} */ #user = null;
  /** @type {(entered: Entered) => void} */ #entered = () => {};

  /** @param {{entered: (entered: Entered) => void}} handlers */
  connect({ entered }) {
    this.#entered = entered;
    this.child("go-on", HTMLElement).addEventListener("click", () => {
      if (this.#user) entered({ user: this.#user });
    });
  }

  /**
   * @param {SessionUser} user
   * @param {{link: string, owner: boolean} | null} taken null where the link is no use any more
   */
  show(user, taken) {
    this.clear();
    this.#user = user;
    this.#link = taken?.link ?? "";
    this.child("who", HTMLElement).textContent = `You are signed in as ${user.name}.`;
    const accept = this.find("button[type=submit]", HTMLElement);
    accept.hidden = !taken;
    accept.textContent = taken?.owner ? "Own this place" : "Accept";
    const goOn = this.child("go-on", HTMLElement);
    goOn.textContent = taken ? "Not now" : "Go on to the chat";
    (taken ? accept : goOn).focus();
  }

  async send() {
    this.#entered(await acceptLink(this.#link));
  }
}

customElements.define("accept-link", AcceptLink);
