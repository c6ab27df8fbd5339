// <edit-place>: the place's name, welcome and colour, who may come in, and whether guests may just now.
// It must not know how the page wears them.

import { accentColours } from "../models/accent.js";
import { isAtLeast } from "../models/roles.js";
import { thePlace } from "../rest.js";
import { changePlace } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";

/** @typedef {import("../wire.js").Place} Place */

const FIRST_ACCENT = "#15603f";

export class EditPlace extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {Place | null} */ #place = null;

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    for (const name of ["own-accent", "accent"]) this.#input(name).addEventListener("input", () => this.#drawAccent());
  }

  async open() {
    this.#place = null;
    this.#looks.disabled = true;
    super.open();
    await this.attempt(async () => this.#show(await thePlace()));
  }

  get #looks() {
    return this.child("looks", HTMLFieldSetElement);
  }

  get #welcome() {
    return this.find("[name=welcome]", HTMLTextAreaElement);
  }

  get #join() {
    return this.find("[name=join]", HTMLSelectElement);
  }

  /** @param {Place} place */
  #show(place) {
    this.#place = place;
    const owner = isAtLeast(this.#chat.me.role, "owner");
    this.#looks.disabled = !owner;
    this.child("owner-only", HTMLElement).hidden = owner;
    this.#input("place-name").value = place.name;
    this.#welcome.value = place.welcome;
    this.#input("own-accent").checked = place.accent !== null;
    this.#input("accent").value = place.accent ?? FIRST_ACCENT;
    this.#join.value = place.join;
    this.#join.disabled = place.join_fixed;
    this.child("join-fixed", HTMLElement).hidden = !place.join_fixed;
    this.#input("guests_paused").checked = place.guests_paused;
    this.#drawAccent();
  }

  #drawAccent() {
    const own = this.#input("own-accent").checked;
    this.child("accent", HTMLElement).hidden = !own;
    const { day, night } = accentColours(this.#input("accent").value);
    this.child("by-day", HTMLElement).style.setProperty("--sample", day);
    this.child("by-night", HTMLElement).style.setProperty("--sample", night);
  }

  /** @param {string} name */
  #input(name) {
    return this.find(`[name=${name}]`, HTMLInputElement);
  }

  /** @param {Place} was @returns {Partial<Place>} only what was changed: an admin may not send the rest */
  #changes(was) {
    const now = {
      name: this.#input("place-name").value.trim(),
      welcome: this.#welcome.value.trim(),
      accent: this.#input("own-accent").checked ? this.#input("accent").value : null,
      join: this.#join.value,
      guests_paused: this.#input("guests_paused").checked,
    };
    return Object.fromEntries(Object.entries(now).filter(([field, value]) => Reflect.get(was, field) !== value));
  }

  async #save() {
    const was = this.#place;
    if (!was) return;
    const name = this.#input("place-name");
    this.problem(name.value.trim() ? "" : "The place needs a name.", name);
    if (!name.value.trim()) return;
    const changes = this.#changes(was);
    const done = await this.attempt(async () => {
      if (Object.keys(changes).length > 0) this.#chat.place.apply(await changePlace(changes));
    });
    if (done) this.close();
  }
}

customElements.define("edit-place", EditPlace);
