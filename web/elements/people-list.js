// <people-list>: who is in the open room now. In a large room names come a page at a time, on asking.
// It must not know how presence travels.

import { PartElement } from "./part-element.js";

export class PeopleList extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {Map<string, HTMLLIElement>} */ #items = new Map();

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    chat.presence.addEventListener("change", () => this.#draw());
    chat.names.addEventListener("change", () => this.#draw());
    this.child("more", HTMLElement).addEventListener("click", () => chat.learnNames());
  }

  #draw() {
    const { presence } = this.#chat;
    const { people, unnamed } = presence;
    this.child("count", HTMLElement).textContent = String(presence.count);
    const items = people.map((person) => this.#item(person));
    this.#items = new Map(people.map(({ id }, index) => [id, /** @type {HTMLLIElement} */ (items[index])]));
    this.child("list", HTMLElement).replaceChildren(...items);
    this.child("unnamed", HTMLElement).hidden = unnamed === 0;
    this.child("unnamed-words", HTMLElement).textContent = people.length ? `and ${unnamed} more` : `${unnamed} people`;
  }

  /** @param {import("../wire.js").Author} person */
  #item(person) {
    const { names, user } = this.#chat;
    const item = this.#items.get(person.id) ?? createItem();
    const [picture, name, you] = [...item.children];
    const source = names.pictureOf(person.id);
    if (picture?.getAttribute("src") !== source) picture?.setAttribute("src", source);
    if (name) name.textContent = names.nameOf(person);
    if (you) you.textContent = person.id === user.id ? "you" : "";
    return item;
  }
}

function createItem() {
  const item = document.createElement("li");
  item.className = "people__person";
  const picture = document.createElement("img");
  picture.className = "avatar";
  picture.alt = "";
  picture.width = 28;
  picture.height = 28;
  const name = document.createElement("span");
  name.className = "people__name";
  const you = document.createElement("span");
  you.className = "people__you";
  item.append(picture, name, you);
  return item;
}

customElements.define("people-list", PeopleList);
