// <people-list>: who is in the open room now. In a large room names come a page at a time, on asking.
// It must not know how presence travels, nor what is shown of the one who is chosen.

import { PartElement } from "./part-element.js";
import { personLine } from "./person-line.js";

/** Dispatches `person` with the one who was chosen. */
export class PeopleList extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {Map<string, HTMLLIElement>} */ #items = new Map();

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    chat.presence.addEventListener("change", () => this.#draw());
    chat.names.addEventListener("change", () => this.#draw());
    this.child("more", HTMLElement).addEventListener("click", () => chat.learnNames());
    this.child("list", HTMLElement).addEventListener("click", ({ target }) => {
      const line = target instanceof Element ? target.closest("button") : null;
      const person = chat.presence.people.find(({ id }) => id === line?.value);
      if (person) this.dispatchEvent(new CustomEvent("person", { detail: person }));
    });
  }

  #draw() {
    const { presence } = this.#chat;
    const { people, unnamed } = presence;
    this.child("count", HTMLElement).textContent = String(presence.count);
    const items = people.map((person) => this.#item(person));
    this.#items = new Map(people.map(({ id }, index) => [id, /** @type {HTMLLIElement} */ (items[index])]));
    const list = this.child("list", HTMLElement);
    // Replacing children takes the focus from a line that stays.
    const same = items.length === list.children.length && items.every((item, index) => item === list.children[index]);
    if (!same) list.replaceChildren(...items);
    this.child("unnamed", HTMLElement).hidden = unnamed === 0;
    this.child("unnamed-words", HTMLElement).textContent = people.length ? `and ${unnamed} more` : `${unnamed} people`;
  }

  /** @param {import("../wire.js").Author} person */
  #item(person) {
    const { names, user } = this.#chat;
    const line = {
      id: person.id,
      name: names.nameOf(person),
      picture: names.pictureOf(person.id),
      note: person.id === user.id ? "you" : "",
    };
    const kept = this.#items.get(person.id);
    const looks = `${line.name}\n${line.picture}`;
    if (kept?.dataset.looks === looks) return kept;
    const item = kept ?? document.createElement("li");
    item.dataset.looks = looks;
    item.replaceChildren(personLine(line));
    return item;
  }
}

customElements.define("people-list", PeopleList);
