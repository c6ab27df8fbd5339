// <create-room>: asks for a new room's name, and offers the room that already has it.
// It must not know how a room is made or opened.

import { CommandError } from "../models/connection.js";
import { DialogElement } from "./dialog-element.js";

export class CreateRoom extends DialogElement {
  /** @type {(name: string) => Promise<void>} */ #create;

  /** @param {{create: (name: string) => Promise<void>, choose: (room: string) => void}} handlers */
  connect({ create, choose }) {
    this.#create = create;
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => this.#submit(event));
    const existing = this.child("open-existing", HTMLButtonElement);
    existing.addEventListener("click", () => {
      this.close();
      choose(existing.value);
    });
    this.#name.addEventListener("input", () => this.#clear());
  }

  /** @param {string} [name] */
  open(name = "") {
    this.#name.value = name;
    this.#clear();
    super.open();
  }

  get #name() {
    return this.find("#create-name", HTMLInputElement);
  }

  #clear() {
    this.problem("", this.#name);
    this.child("open-existing", HTMLButtonElement).hidden = true;
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const name = this.#name.value.trim();
    if (!name) {
      this.problem("A room needs a name.", this.#name);
      return;
    }
    try {
      await this.#create(name);
      this.close();
    } catch (error) {
      this.#refused(error);
    }
  }

  /** @param {unknown} error */
  #refused(error) {
    if (!(error instanceof CommandError)) {
      this.problem("There is no connection just now. Try again in a moment.", this.#name);
    } else if (error.code === "exists" && error.details.room) {
      this.problem("There is a room of that name.", this.#name);
      const existing = this.child("open-existing", HTMLButtonElement);
      existing.value = error.details.room;
      existing.hidden = false;
    } else {
      this.problem(error.message, this.#name);
    }
  }
}

customElements.define("create-room", CreateRoom);
