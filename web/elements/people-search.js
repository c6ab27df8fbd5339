// <people-search>: finds people with an account by part of their name, a page at a time; arrows walk the list from the
// field. It tells who was chosen, and must not know what for.

import { findPeople } from "../rest-place.js";
import { PartElement } from "./part-element.js";
import { personLine, ROLE_NAMES } from "./person-line.js";
import { whyNot } from "./refusal-words.js";

/** @typedef {import("../rest-place.js").Person} Person */

const PAUSE_MS = 150;

export class PeopleSearch extends PartElement {
  /** @type {import("../models/names.js").Names} */ #names;
  /** @type {(person: Person) => boolean} */ #shows = () => true;
  /** @type {Person[]} */ #found = [];
  /** @type {Set<string>} */ #marked = new Set();
  #asked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  connectedCallback() {
    const template = document.querySelector("#people-search-template");
    if (template instanceof HTMLTemplateElement) this.replaceChildren(template.content.cloneNode(true));
  }

  /**
   * @param {object} parts
   * @param {import("../models/names.js").Names} parts.names
   * @param {(person: Person) => void} parts.choose
   * @param {(person: Person) => boolean} [parts.shows] who is to be found here at all
   */
  connect({ names, choose, shows = () => true }) {
    this.#names = names;
    this.#shows = shows;
    this.#query.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), PAUSE_MS);
    });
    this.child("found", HTMLElement).addEventListener("click", ({ target }) => {
      const line = target instanceof Element ? target.closest("button") : null;
      const person = this.#found.find(({ id }) => id === line?.value);
      if (person) choose(person);
    });
    this.child("found-more", HTMLElement).addEventListener("click", () => this.#search(this.#found.at(-1)?.id));
    this.addEventListener("keydown", (event) => this.#key(event));
  }

  /** From an empty field, with everyone. */
  restart() {
    this.#query.value = "";
    this.child("found", HTMLElement).replaceChildren();
    this.#search();
  }

  /** @param {Iterable<string>} ids who is shown as chosen */
  mark(ids) {
    this.#marked = new Set(ids);
    for (const line of this.#lines) this.#press(line);
  }

  get #query() {
    return this.child("query", HTMLInputElement);
  }

  get #lines() {
    return [...this.child("found", HTMLElement).querySelectorAll("button")];
  }

  /** @param {string} [after] the last one shown, to go on from there */
  async #search(after) {
    const asked = ++this.#asked;
    const q = this.#query.value.trim();
    try {
      const { users, more } = await findPeople({ q, after });
      if (asked !== this.#asked) return;
      this.#found = [...(after ? this.#found : []), ...users.filter(this.#shows)];
      this.#draw(more);
      this.#say(this.#found.length > 0 ? "" : q ? `Nobody is called anything like “${q}”.` : "There is nobody else yet.");
    } catch (error) {
      if (asked === this.#asked) this.#say(whyNot(error));
    }
  }

  /** @param {boolean} more */
  #draw(more) {
    const items = this.#found.map((person) => {
      const note = [person.role !== "member" && ROLE_NAMES[person.role], person.online && "here now"].filter(Boolean);
      const line = personLine({ ...person, picture: this.#names.pictureOf(person.id), note: note.join(" · ") });
      this.#press(line);
      const item = document.createElement("li");
      item.append(line);
      return item;
    });
    this.child("found", HTMLElement).replaceChildren(...items);
    this.child("found-more", HTMLElement).hidden = !more;
  }

  /** @param {HTMLButtonElement} line */
  #press(line) {
    line.ariaPressed = this.#marked.has(line.value) ? "true" : null;
  }

  /** @param {string} words */
  #say(words) {
    this.child("found-words", HTMLElement).textContent = words;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const lines = this.#lines;
    const at = lines.findIndex((line) => line === document.activeElement);
    if (event.key === "ArrowDown") lines[Math.min(at + 1, lines.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (lines[at - 1] ?? this.#query).focus();
    else if (event.key === "Enter" && event.target === this.#query) lines[0]?.click();
    else return;
    event.preventDefault();
  }
}

customElements.define("people-search", PeopleSearch);
