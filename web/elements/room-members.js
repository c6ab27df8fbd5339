// <room-members>: who belongs to the open room, in which role; adding, removing and leaving, as one's own role allows.
// It must not know what follows from leaving.

import { isInRoomAtLeast, mayRemove, ROOM_ROLES } from "../models/roles.js";
import { LOBBY } from "../models/rooms.js";
import { leaveRoom } from "../rest.js";
import { putMember, removeMember, roomMembers } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";
import { PeopleSearch } from "./people-search.js";
import { personLine } from "./person-line.js";

/** @typedef {import("../rest-place.js").Member} Member */
/** @typedef {import("../wire.js").RoomRole} RoomRole */
/** @typedef {import("../wire.js").Author} Author */

/** @type {Record<RoomRole, string>} */
const ROLE_NAMES = { member: "Member", moderator: "Moderator", owner: "Owner" };

export class RoomMembers extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} */ #confirm;
  /** @type {import("../models/rooms.js").Room} */ #room;
  /** @type {Member[]} */ #members = [];

  /**
   * @param {object} parts
   * @param {import("../models/chat.js").Chat} parts.chat
   * @param {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} parts.confirm
   * @param {(person: Author) => void} parts.showPerson
   * @param {(room: string) => void} parts.invite
   */
  connect({ chat, confirm, showPerson, invite }) {
    this.#chat = chat;
    this.#confirm = confirm;
    this.#search.connect({
      names: chat.names,
      choose: (person) => this.#add(person),
      shows: ({ id }) => !this.#members.some((member) => member.id === id),
    });
    this.child("members", HTMLElement).addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      const member = this.#members.find(({ id }) => id === button?.value);
      if (!member) return;
      if (button?.dataset.act === "remove") this.#remove(member);
      else showPerson(member);
    });
    this.child("members", HTMLElement).addEventListener("change", ({ target }) => {
      if (target instanceof HTMLSelectElement) this.#changeRole(target);
    });
    this.child("members-more", HTMLElement).addEventListener("click", () => this.#load(this.#members.at(-1)?.id));
    this.child("adding", HTMLDetailsElement).addEventListener("toggle", () => {
      if (this.child("adding", HTMLDetailsElement).open) this.#search.restart();
    });
    this.child("invite", HTMLElement).addEventListener("click", () => invite(this.#room.room));
    this.child("leave-room", HTMLElement).addEventListener("click", () => this.#leave());
  }

  open() {
    const room = this.#chat.rooms.get(this.#chat.room);
    if (!room) return;
    this.#room = room;
    const { kind } = room;
    const moderator = isInRoomAtLeast(room, this.#chat.me, "moderator");
    this.child("members-title", HTMLElement).textContent = kind === "direct" ? "In this conversation" : `Members of ${room.name}`;
    this.child("members", HTMLElement).replaceChildren();
    this.child("adding", HTMLDetailsElement).open = false;
    this.child("adding", HTMLDetailsElement).hidden = !moderator || kind === "direct" || room.room === LOBBY;
    this.child("invite", HTMLElement).hidden = !moderator || kind !== "private";
    this.child("leave-room", HTMLElement).hidden = !room.joined || kind === "direct" || room.room === LOBBY;
    super.open();
    return this.#load();
  }

  get #search() {
    return this.find("people-search", PeopleSearch);
  }

  /** @param {string} [after] the last one shown, to go on from there */
  #load(after) {
    const { room } = this.#room;
    return this.attempt(async () => {
      const { members, more } = await roomMembers(room, after);
      if (room !== this.#room.room) return;
      this.#members = [...(after ? this.#members : []), ...members];
      this.child("members", HTMLElement).replaceChildren(...this.#members.map((member) => this.#item(member)));
      this.child("members-more", HTMLElement).hidden = !more;
    });
  }

  /** @param {Member} member */
  #item(member) {
    const { names, me } = this.#chat;
    const { id, role, guest } = member;
    const self = id === me.id;
    const name = names.nameOf(member);
    const changes = !self && !guest && this.#room.kind !== "direct" && isInRoomAtLeast(this.#room, me, "owner");
    const notes = [self && "you", guest && "guest", !changes && role !== "member" && ROLE_NAMES[role].toLowerCase()];
    const item = document.createElement("li");
    item.className = "entry entry--person";
    item.append(personLine({ id, name, picture: names.pictureOf(id), note: notes.filter(Boolean).join(" · ") }));
    if (changes) item.append(roleChoice(id, name, role));
    if (!self && this.#room.room !== LOBBY && mayRemove(this.#room, me, role)) item.append(removeButton(id, name));
    return item;
  }

  /** @param {Author} person */
  async #add(person) {
    const added = await this.attempt(() => putMember(this.#room.room, person.id));
    if (!added) return;
    this.child("adding", HTMLDetailsElement).open = false;
    await this.#load();
  }

  /** @param {HTMLSelectElement} choice */
  async #changeRole(choice) {
    const id = choice.dataset.id ?? "";
    const role = /** @type {RoomRole} */ (choice.value);
    const changed = await this.attempt(() => putMember(this.#room.room, id, role));
    if (!changed) choice.value = this.#members.find((member) => member.id === id)?.role ?? "member";
    else this.#members = this.#members.map((member) => (member.id === id ? { ...member, role } : member));
  }

  /** @param {Member} member */
  async #remove(member) {
    const name = this.#chat.names.nameOf(member);
    const words = this.#room.kind === "private" ? "They lose sight of it at once." : "They may join again.";
    if (!(await this.#confirm({ title: `Remove ${name}?`, words, action: "Remove" }))) return;
    if (await this.attempt(() => removeMember(this.#room.room, member.id))) await this.#load();
  }

  async #leave() {
    const { room, name, kind } = this.#room;
    const words = "Only one of its members with the right to it can bring you back.";
    if (kind === "private" && !(await this.#confirm({ title: `Leave ${name}?`, words, action: "Leave" }))) return;
    if (await this.attempt(() => leaveRoom(room))) this.close();
  }
}

/**
 * @param {string} id
 * @param {string} name
 * @param {RoomRole} role
 */
function roleChoice(id, name, role) {
  const choice = document.createElement("select");
  choice.className = "entry__choice";
  choice.dataset.id = id;
  choice.ariaLabel = `Role of ${name}`;
  choice.append(...ROOM_ROLES.map((one) => new Option(ROLE_NAMES[one], one)));
  choice.value = role;
  return choice;
}

/**
 * @param {string} id
 * @param {string} name
 */
function removeButton(id, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button--quiet button--small";
  button.value = id;
  button.dataset.act = "remove";
  button.textContent = "Remove";
  button.ariaLabel = `Remove ${name}`;
  return button;
}

customElements.define("room-members", RoomMembers);
