// <new-message>: chooses the people for a conversation of their own. It must not know how one is begun.

import { DialogElement } from "./dialog-element.js";
import { PeopleSearch } from "./people-search.js";

/** @typedef {import("../wire.js").Author} Author */

const MOST = 19;

export class NewMessage extends DialogElement {
  /** @type {Map<string, Author>} */ #chosen = new Map();

  /** @param {{chat: import("../models/chat.js").Chat, converse: (people: Author[]) => Promise<void>}} parts */
  connect({ chat, converse }) {
    this.#search.connect({
      names: chat.names,
      choose: (person) => this.#toggle(person),
      shows: ({ id }) => id !== chat.user.id,
    });
    this.child("chosen", HTMLElement).addEventListener("click", ({ target }) => {
      const chip = target instanceof Element ? target.closest("button") : null;
      const person = this.#chosen.get(chip?.value ?? "");
      if (!person) return;
      this.#toggle(person);
      this.#search.querySelector("input")?.focus();
    });
    this.child("start", HTMLButtonElement).addEventListener("click", async () => {
      if (await this.attempt(() => converse([...this.#chosen.values()]))) this.close();
    });
  }

  open() {
    this.#chosen.clear();
    this.#draw();
    this.attempt(async () => {});
    super.open();
    this.#search.restart();
  }

  get #search() {
    return this.find("people-search", PeopleSearch);
  }

  /** @param {Author} person */
  #toggle(person) {
    if (!this.#chosen.delete(person.id) && this.#chosen.size < MOST) this.#chosen.set(person.id, person);
    this.#draw();
  }

  #draw() {
    const people = [...this.#chosen.values()];
    this.child("chosen", HTMLElement).replaceChildren(...people.map(createChip));
    this.#search.mark(this.#chosen.keys());
    const start = this.child("start", HTMLButtonElement);
    start.disabled = people.length === 0;
    start.textContent = people.length > 1 ? `Write to ${people.length} people` : people[0] ? `Write to ${people[0].name}` : "Write";
    this.say("full", people.length === MOST ? `A conversation has at most ${MOST + 1} people.` : "");
  }
}

/** @param {Author} person */
function createChip({ id, name }) {
  const item = document.createElement("li");
  const chip = document.createElement("button");
  chip.type = "button";
  chip.className = "chip";
  chip.value = id;
  chip.textContent = name;
  chip.ariaLabel = `Take ${name} out`;
  item.append(chip);
  return item;
}

customElements.define("new-message", NewMessage);
