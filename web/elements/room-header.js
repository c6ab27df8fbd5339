// <room-header>: the open room's name, topic and marks, joining and leaving it, and the way to its settings and to both
// drawers. It must not know what is shown below it.

import { isInRoomAtLeast } from "../models/roles.js";
import { countLabel, LOBBY } from "../models/rooms.js";
import { joinRoom, leaveRoom } from "../rest.js";
import { PartElement } from "./part-element.js";

export class RoomHeader extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    for (const model of [chat.rooms, chat.presence, chat.follower, chat.me]) model.addEventListener("change", () => this.#draw());
    chat.addEventListener("open", () => this.#draw());
    this.child("join", HTMLButtonElement).addEventListener("click", () => this.#change(joinRoom));
    this.child("leave", HTMLButtonElement).addEventListener("click", () => this.#change(leaveRoom));
  }

  #draw() {
    const { rooms, presence, follower, me } = this.#chat;
    const room = rooms.get(this.#chat.room);
    const gone = Boolean(follower.problem);
    this.child("name", HTMLElement).textContent = room?.name ?? "";
    this.say("topic", room?.topic ?? "");
    this.child("private", HTMLElement).hidden = room?.kind !== "private";
    this.child("announcement", HTMLElement).hidden = !room?.announcement;
    this.child("archived", HTMLElement).hidden = !room?.archived;
    const looksAfter = room && room.kind !== "direct" && isInRoomAtLeast(room, me, "moderator");
    this.child("settings", HTMLElement).hidden = gone || !looksAfter;
    this.child("join", HTMLElement).hidden = gone || !room || room.joined || room.archived;
    // Who leaves a private room cannot come back alone: that is asked about, among its members.
    this.child("leave", HTMLElement).hidden = gone || !room?.joined || room.kind !== "public" || room.room === LOBBY;
    this.child("count", HTMLElement).textContent = String(presence.count);
    this.child("count-words", HTMLElement).textContent = `People here: ${presence.count}`;
    const elsewhere = rooms.unread - (room?.unread ?? 0);
    this.child("elsewhere", HTMLElement).hidden = elsewhere === 0;
    this.find(".room-header__rooms", HTMLElement).ariaLabel =
      elsewhere === 0 ? "Rooms" : `Rooms, ${countLabel(elsewhere)} unread`;
  }

  /** @param {(room: string) => Promise<void>} change */
  async #change(change) {
    if (!this.#chat.room) return;
    const buttons = [this.child("join", HTMLButtonElement), this.child("leave", HTMLButtonElement)];
    for (const button of buttons) button.disabled = true;
    try {
      await change(this.#chat.room);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }
}

customElements.define("room-header", RoomHeader);
