// <create-room>: asks for a new room's name and who is to see it, and offers the room that already has the name.
// It must not know how a room is made or opened.

import { CommandError, Disconnected } from "../models/connection.js";
import { DialogElement } from "./dialog-element.js";
import { whyNot } from "./refusal-words.js";

/** @typedef {"public" | "private"} Kind */

const HINTS = {
  public: "Anyone here can find it, read it and write in it.",
  private: "Only its members know that it is there. You choose who they are.",
};

export class CreateRoom extends DialogElement {
  /** @type {(name: string, kind: Kind) => Promise<void>} */ #create;
  /** @type {import("../models/me.js").Me} */ #me;

  /**
   * @param {object} parts
   * @param {import("../models/me.js").Me} parts.me
   * @param {(name: string, kind: Kind) => Promise<void>} parts.create
   * @param {(room: string) => void} parts.choose
   */
  connect({ me, create, choose }) {
    this.#me = me;
    this.#create = create;
    this.child("kind", HTMLElement).addEventListener("change", () => this.#drawKind());
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
    this.find("form", HTMLFormElement).reset();
    this.#name.value = name;
    this.#clear();
    // Guests see public rooms only.
    this.child("kind", HTMLElement).hidden = this.#me.guest;
    this.#drawKind();
    super.open();
  }

  get #kind() {
    return /** @type {Kind} */ (this.find("[name=create-kind]:checked", HTMLInputElement).value);
  }

  #drawKind() {
    this.child("hint", HTMLElement).textContent = HINTS[this.#kind];
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
      await this.#create(name, this.#kind);
      this.close();
    } catch (error) {
      this.#refused(error);
    }
  }

  /** @param {unknown} error */
  #refused(error) {
    if (error instanceof Disconnected) {
      this.problem("There is no connection just now. Try again in a moment.", this.#name);
    } else if (error instanceof CommandError && error.code === "exists" && error.details.room) {
      this.problem("There is a room of that name.", this.#name);
      const existing = this.child("open-existing", HTMLButtonElement);
      existing.value = error.details.room;
      existing.hidden = false;
    } else {
      this.problem(whyNot(error), this.#name);
    }
  }
}

customElements.define("create-room", CreateRoom);
