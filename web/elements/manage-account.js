// <manage-account>: an admin's hand on somebody's account: its role, and a link for a forgotten password.
// It must not know the card that it stands in.

import { rolesToGive } from "../models/roles.js";
import { giveRole, makeResetLink } from "../rest-place.js";
import { CopyText } from "./copy-text.js";
import { PartElement } from "./part-element.js";
import { ROLE_NAMES } from "./person-line.js";
import { whyNot } from "./refusal-words.js";

/** @typedef {import("../rest-place.js").Person} Person */

export class ManageAccount extends PartElement {
  /** @type {import("../models/me.js").Me} */ #me;
  /** @type {Person} */ #person;

  /** @param {{me: import("../models/me.js").Me, done: () => void}} parts */
  connect({ me, done }) {
    this.#me = me;
    this.#role.addEventListener("change", () => {
      const role = /** @type {import("../wire.js").Role} */ (this.#role.value);
      this.#try(async () => {
        await giveRole(this.#person.id, role);
        done();
        return `${this.#person.name} has another role now.`;
      });
    });
    this.child("reset", HTMLElement).addEventListener("click", () => {
      this.#try(async () => {
        const link = await makeResetLink(this.#person.id);
        this.find("copy-text", CopyText).show(new URL(link, location.origin).href);
        return `Give this link to ${this.#person.name}: it sets a new password, once.`;
      });
    });
  }

  restart() {
    this.find("copy-text", CopyText).show("");
    this.#say("");
  }

  /** @param {Person} person */
  show(person) {
    this.#person = person;
    this.hidden = false;
    const roles = rolesToGive(this.#me.role).map((role) => new Option(ROLE_NAMES[role], role));
    this.#role.replaceChildren(...roles);
    this.#role.value = person.role;
  }

  get #role() {
    return this.find("[name=person-role]", HTMLSelectElement);
  }

  /** @param {() => Promise<string>} act */
  async #try(act) {
    try {
      this.#say(await act());
    } catch (error) {
      this.#role.value = this.#person.role;
      this.#say(whyNot(error));
    }
  }

  /** @param {string} words */
  #say(words) {
    this.child("manage-said", HTMLElement).textContent = words;
  }
}

customElements.define("manage-account", ManageAccount);
