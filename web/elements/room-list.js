// <room-list>: the rooms one is in, with what is unread in each, and oneself at the foot.
// It must not know how a room is opened: its links are the page's addresses.

import { addressOf } from "../models/address.js";
import { countLabel } from "../models/rooms.js";
import { PartElement } from "./part-element.js";

/** @typedef {import("../models/rooms.js").Room} Room */

export class RoomList extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {Map<string, HTMLLIElement>} */ #items = new Map();

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    chat.rooms.addEventListener("change", () => this.#draw());
    chat.addEventListener("open", () => this.#draw());
    chat.follower.addEventListener("change", () => this.#draw());
    chat.names.addEventListener("change", () => this.#drawMe());
    this.child("find-key", HTMLElement).textContent = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘K" : "Ctrl K";
    this.#draw();
    this.#drawMe();
  }

  #drawMe() {
    const { user, names } = this.#chat;
    this.child("my-name", HTMLElement).textContent = names.nameOf(user);
    this.child("my-picture", HTMLImageElement).src = names.pictureOf(user.id);
  }

  #draw() {
    const { follower } = this.#chat;
    const rooms = this.#chat.rooms.list.filter(({ room, joined }) => joined || room !== follower.room || !follower.problem);
    const items = rooms.map((room) => this.#item(room));
    this.#items = new Map(rooms.map(({ room }, index) => [room, /** @type {HTMLLIElement} */ (items[index])]));
    const list = this.child("list", HTMLElement);
    // Replacing children takes the focus from a link that stays.
    const same = items.length === list.children.length && items.every((item, index) => item === list.children[index]);
    if (!same) list.replaceChildren(...items);
  }

  /** @param {Room} room */
  #item(room) {
    const item = this.#items.get(room.room) ?? createItem(room.room);
    const link = /** @type {HTMLAnchorElement} */ (item.firstElementChild);
    const [sign, name, count] = /** @type {HTMLElement[]} */ ([...link.children]);
    const open = room.room === this.#chat.room;
    if (open) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.classList.toggle("rooms__link--unread", room.unread > 0 && !open);
    link.classList.toggle("rooms__link--visited", !room.joined);
    if (sign) sign.textContent = [...room.name][0]?.toLocaleUpperCase() ?? "";
    if (name) name.textContent = room.name;
    if (count) fillCount(count, room);
    return item;
  }
}

/** @param {string} room */
function createItem(room) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.className = "rooms__link";
  link.href = addressOf(room);
  link.dataset.room = room;
  for (const part of ["sign", "name", "count"]) {
    const span = document.createElement("span");
    span.className = `rooms__${part}`;
    link.append(span);
  }
  link.firstElementChild?.setAttribute("aria-hidden", "true");
  item.append(link);
  return item;
}

/**
 * @param {HTMLElement} place
 * @param {Room} room
 */
function fillCount(place, { unread, mentions }) {
  place.hidden = unread === 0;
  place.classList.toggle("rooms__count--for-me", mentions > 0);
  const label = countLabel(unread);
  place.textContent = mentions > 0 ? `@ ${label}` : label;
  place.ariaLabel = `${label} unread${mentions > 0 ? `, ${mentions} for you` : ""}`;
  place.role = "img";
}

customElements.define("room-list", RoomList);
