// <browse-rooms>: finds a public room by part of its name; arrows walk the list from the search field.
// It must not know how a room is opened: it tells which one was chosen.

import { addressOf } from "../models/address.js";
import { publicRooms } from "../rest.js";
import { DialogElement } from "./dialog-element.js";

const PAUSE_MS = 150;

export class BrowseRooms extends DialogElement {
  #asked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {{choose: (room: string, name: string) => void, create: (name: string) => void}} handlers */
  connect({ choose, create }) {
    const query = this.child("query", HTMLInputElement);
    query.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), PAUSE_MS);
    });
    this.child("create", HTMLElement).addEventListener("click", () => {
      this.close();
      create(query.value.trim());
    });
    this.child("list", HTMLElement).addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (!link?.dataset.room || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.close();
      choose(link.dataset.room, link.dataset.name ?? link.dataset.room);
    });
    this.addEventListener("keydown", (event) => this.#key(event));
  }

  open() {
    this.child("query", HTMLInputElement).value = "";
    this.child("list", HTMLElement).replaceChildren();
    super.open();
    this.#search();
  }

  async #search() {
    const asked = ++this.#asked;
    const q = this.child("query", HTMLInputElement).value.trim();
    try {
      const { rooms, more } = await publicRooms({ q });
      if (asked !== this.#asked) return;
      this.child("list", HTMLElement).replaceChildren(...rooms.map(createItem));
      this.#say(rooms.length === 0 ? `No room is called anything like “${q}”.` : more ? "There are more: write part of the name." : "");
    } catch {
      if (asked === this.#asked) this.#say("The rooms cannot be had just now.");
    }
  }

  /** @param {string} words */
  #say(words) {
    this.child("empty", HTMLElement).textContent = words;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const query = this.child("query", HTMLInputElement);
    const links = [...this.child("list", HTMLElement).querySelectorAll("a")];
    const at = links.findIndex((link) => link === document.activeElement);
    if (event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (links[at - 1] ?? query).focus();
    else if (event.key === "Enter" && event.target === query) links[0]?.click();
    else return;
    event.preventDefault();
  }
}

/** @param {import("../rest.js").PublicRoom} room */
function createItem({ room, name, head, online, joined }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.className = "browse__room";
  link.href = addressOf(room);
  link.dataset.room = room;
  link.dataset.name = name;
  const title = document.createElement("strong");
  title.textContent = name;
  const facts = document.createElement("span");
  facts.className = "browse__facts";
  const here = online === 0 ? "nobody here now" : `${online} here now`;
  facts.textContent = [joined && "joined", here, head === 0 && "nothing said yet"].filter(Boolean).join(" · ");
  link.append(title, facts);
  item.append(link);
  return item;
}

customElements.define("browse-rooms", BrowseRooms);
