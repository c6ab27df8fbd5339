// <room-settings>: what a room is called and about, who may write in it, enter it and see it; and its end.
// It must not know what follows from a room's end.

import { isInRoomAtLeast } from "../models/roles.js";
import { LOBBY } from "../models/rooms.js";
import { changeRoom, deleteRoom, roomDetails } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";

/** @typedef {import("../wire.js").RoomDetails} RoomDetails */

const GOING_PRIVATE = "Who is no member cannot read it any more, nor see that it is there.";
const GOING_PUBLIC = "Anyone here can read all that was ever said in it, and write.";

export class RoomSettings extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} */ #confirm;
  /** @type {RoomDetails | null} */ #details = null;

  /**
   * @param {object} parts
   * @param {import("../models/chat.js").Chat} parts.chat
   * @param {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} parts.confirm
   */
  connect({ chat, confirm }) {
    this.#chat = chat;
    this.#confirm = confirm;
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.find("[name=kind]", HTMLSelectElement).addEventListener("change", () => this.#drawKind());
    this.child("delete-room", HTMLElement).addEventListener("click", () => this.#delete());
  }

  async open() {
    const { room } = this.#chat;
    if (!room) return;
    this.#details = null;
    this.find("fieldset", HTMLFieldSetElement).disabled = true;
    super.open();
    await this.attempt(async () => this.#show(await roomDetails(room)));
  }

  /** @param {RoomDetails} details */
  #show(details) {
    this.#details = details;
    this.#chat.rooms.learn(details);
    const owner = isInRoomAtLeast(details, this.#chat.me, "owner");
    this.find("fieldset", HTMLFieldSetElement).disabled = false;
    this.#input("room-name").value = details.name;
    this.#input("topic").value = details.topic;
    this.#input("announcement").checked = details.announcement;
    this.#input("archived").checked = details.archived;
    this.#input("guests").checked = details.guests;
    this.#showSlow(details.slow_seconds);
    this.find("[name=kind]", HTMLSelectElement).value = details.kind;
    const ends = owner && details.room !== LOBBY;
    for (const part of ["kind", "archived", "delete-room"]) this.child(part, HTMLElement).hidden = !ends;
    this.#drawKind();
  }

  // Programs may have set what is not on the list.
  /** @param {number} seconds */
  #showSlow(seconds) {
    const slow = this.find("[name=slow]", HTMLSelectElement);
    const known = [...slow.options].some(({ value }) => Number(value) === seconds);
    if (!known) slow.add(new Option(`${seconds} seconds`, String(seconds)));
    slow.value = String(seconds);
  }

  #drawKind() {
    const { value } = this.find("[name=kind]", HTMLSelectElement);
    this.child("guests", HTMLElement).hidden = value !== "private";
    const turned = this.#details && value !== this.#details.kind;
    this.say("kind-hint", !turned ? "" : value === "private" ? GOING_PRIVATE : GOING_PUBLIC);
  }

  /** @param {string} name */
  #input(name) {
    return this.find(`[name=${name}]`, HTMLInputElement);
  }

  /** @param {RoomDetails} was @returns {Partial<RoomDetails>} only what was changed, so that others' changes stay */
  #changes(was) {
    const now = {
      name: this.#input("room-name").value.trim(),
      topic: this.#input("topic").value.trim(),
      announcement: this.#input("announcement").checked,
      archived: this.#input("archived").checked,
      guests: this.#input("guests").checked,
      slow_seconds: Number(this.find("[name=slow]", HTMLSelectElement).value),
      kind: this.find("[name=kind]", HTMLSelectElement).value,
    };
    return Object.fromEntries(Object.entries(now).filter(([field, value]) => Reflect.get(was, field) !== value));
  }

  async #save() {
    const was = this.#details;
    if (!was) return;
    const name = this.#input("room-name");
    this.problem(name.value.trim() ? "" : "A room needs a name.", name);
    if (!name.value.trim()) return;
    const changes = this.#changes(was);
    if (changes.kind && !(await this.#mayTurn(was.name, changes.kind))) return;
    const done = await this.attempt(async () => {
      if (Object.keys(changes).length > 0) this.#chat.rooms.learn(await changeRoom(was.room, changes));
    });
    if (done) this.close();
  }

  /**
   * @param {string} name
   * @param {import("../wire.js").RoomKind} kind
   */
  #mayTurn(name, kind) {
    const words = kind === "private" ? GOING_PRIVATE : GOING_PUBLIC;
    return this.#confirm({ title: `Make ${name} ${kind}?`, words, action: `Make it ${kind}` });
  }

  async #delete() {
    const was = this.#details;
    if (!was) return;
    const words = "All that was said in it is deleted, for everyone. Nothing brings it back.";
    if (!(await this.#confirm({ title: `Delete ${was.name}?`, words, action: "Delete the room" }))) return;
    if (await this.attempt(() => deleteRoom(was.room))) this.close();
  }
}

customElements.define("room-settings", RoomSettings);
