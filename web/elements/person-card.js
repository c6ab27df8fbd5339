// <person-card>: who somebody is, and what one may do: write to them, ignore them, and, with the role for it, more.
// It must not know how a conversation is opened.

import { mayManage, mayModerate } from "../models/roles.js";
import { personOf } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";
import { ManageAccount } from "./manage-account.js";
import { ModeratePerson } from "./moderate-person.js";
import { ROLE_NAMES } from "./person-line.js";

/** @typedef {import("../wire.js").Author} Author */
/** @typedef {import("../rest-place.js").Person} Person */

export class PersonCard extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {Author} */ #who = { id: "", name: "" };
  /** @type {Person | null} once it is known */ #person = null;
  #asked = 0;

  /**
   * @param {object} parts
   * @param {import("../models/chat.js").Chat} parts.chat
   * @param {import("../models/times.js").Times} parts.times
   * @param {(people: Author[]) => Promise<void>} parts.converse
   * @param {(who: Author, on: boolean) => Promise<void>} parts.ignore
   * @param {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} parts.confirm
   */
  connect({ chat, times, converse, ignore, confirm }) {
    this.#chat = chat;
    this.#moderate.connect({ times, confirm, done: () => this.#look() });
    this.#manage.connect({ me: chat.me, done: () => this.#look() });
    this.child("converse", HTMLElement).addEventListener("click", async () => {
      if (!(await this.attempt(() => converse([this.#who])))) return;
      for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    });
    this.child("ignore", HTMLElement).addEventListener("click", () => {
      this.attempt(() => ignore(this.#who, !chat.me.ignores(this.#who.id)));
    });
    chat.me.addEventListener("change", () => this.#draw());
    chat.names.addEventListener("change", () => this.#draw());
  }

  /** @param {Author} who */
  show({ id, name }) {
    this.#who = { id, name: this.#chat.names.nameOf({ id, name }) };
    this.#person = null;
    this.#moderate.restart();
    this.#manage.restart();
    this.#draw();
    super.open();
    return this.#look();
  }

  get #moderate() {
    return this.find("moderate-person", ModeratePerson);
  }

  get #manage() {
    return this.find("manage-account", ManageAccount);
  }

  async #look() {
    const asked = ++this.#asked;
    await this.attempt(async () => {
      const person = await personOf(this.#who.id);
      if (asked !== this.#asked) return;
      this.#person = person;
      this.#draw();
    });
  }

  #draw() {
    const { me, names } = this.#chat;
    const { id } = this.#who;
    const person = this.#person;
    const self = id === me.id;
    this.child("person-name", HTMLElement).textContent = names.nameOf(this.#who);
    const picture = this.child("person-picture", HTMLImageElement);
    if (picture.getAttribute("src") !== names.pictureOf(id)) picture.src = names.pictureOf(id);
    const facts = person && [ROLE_NAMES[person.role], person.online && "here now", self && "you", me.ignores(id) && "ignored"];
    this.child("person-facts", HTMLElement).textContent = facts?.filter(Boolean).join(" · ") || "…";
    this.child("person-acts", HTMLElement).hidden = self;
    this.child("converse", HTMLElement).hidden = me.guest || !person || person.role === "guest";
    this.child("ignore", HTMLElement).textContent = me.ignores(id) ? "Stop ignoring" : "Ignore";
    this.say("ignore-hint", me.ignores(id) ? "What they write is folded away, and they cannot write to you alone." : "");
    if (person && mayModerate(me, person)) this.#moderate.show(person);
    else this.#moderate.hidden = true;
    if (person && person.role !== "guest" && mayManage(me, person)) this.#manage.show(person);
    else this.#manage.hidden = true;
  }
}

customElements.define("person-card", PersonCard);
