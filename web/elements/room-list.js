// <room-list>: the place's name, the rooms one is in and the conversations, with what is unread in each, and oneself at
// the foot. It must not know how a room is opened: its links are the page's addresses.

import { addressOf } from "../models/address.js";
import { OWN_NAME } from "../models/place-look.js";
import { isAtLeast } from "../models/roles.js";
import { countLabel } from "../models/rooms.js";
import { PartElement } from "./part-element.js";

/** @typedef {import("../models/rooms.js").Room} Room */

const PICTURES = 2;

export class RoomList extends PartElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {Map<string, HTMLLIElement>} */ #items = new Map();

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    chat.rooms.addEventListener("change", () => this.#draw());
    chat.addEventListener("open", () => this.#draw());
    chat.follower.addEventListener("change", () => this.#draw());
    chat.names.addEventListener("change", () => {
      this.#drawMe();
      this.#draw();
    });
    chat.me.addEventListener("change", () => this.#drawMe());
    chat.place.addEventListener("change", () => this.#drawPlace());
    this.child("find-key", HTMLElement).textContent = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘K" : "Ctrl K";
    this.#draw();
    this.#drawMe();
    this.#drawPlace();
  }

  #drawPlace() {
    const { name } = this.#chat.place;
    const own = name === OWN_NAME;
    this.find("svg.brand__name", SVGSVGElement).toggleAttribute("hidden", !own);
    this.say("place", own ? "" : name);
    this.find(".brand", HTMLAnchorElement).ariaLabel = `${name}, home`;
  }

  #drawMe() {
    const { user, me, names } = this.#chat;
    this.child("look-after", HTMLElement).hidden = !isAtLeast(me.role, "moderator");
    this.child("write", HTMLElement).hidden = me.guest;
    this.child("my-name", HTMLElement).textContent = names.nameOf(user);
    this.child("my-picture", HTMLImageElement).src = names.pictureOf(user.id);
  }

  #draw() {
    const { follower } = this.#chat;
    const rooms = this.#chat.rooms.list.filter(({ room, joined }) => joined || room !== follower.room || !follower.problem);
    const items = new Map(rooms.map((room) => [room.room, this.#item(room)]));
    this.#items = items;
    for (const part of ["list", "direct"]) {
      const own = rooms.filter(({ kind }) => (kind === "direct") === (part === "direct"));
      fillList(this.child(part, HTMLElement), own.flatMap(({ room }) => items.get(room) ?? []));
    }
    const { me } = this.#chat;
    this.child("direct-title", HTMLElement).hidden = me.guest && !rooms.some(({ kind }) => kind === "direct");
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
    link.classList.toggle("rooms__link--archived", room.archived);
    if (sign) this.#fillSign(sign, room);
    if (name) name.textContent = room.name;
    if (name && room.kind === "private") name.append(hiddenWords(", private"));
    if (count) fillCount(count, room);
    return item;
  }

  /**
   * @param {HTMLElement} sign
   * @param {Room} room
   */
  #fillSign(sign, { kind, name, with: others }) {
    const pictures = kind === "direct" ? others.slice(0, PICTURES).map(({ id }) => this.#chat.names.pictureOf(id)) : [];
    const letter = [...name][0]?.toLocaleUpperCase() ?? "";
    const looks = [kind, letter, ...pictures].join("\n");
    if (sign.dataset.looks === looks) return;
    sign.dataset.looks = looks;
    sign.className = `rooms__sign rooms__sign--${kind}`;
    sign.classList.toggle("rooms__sign--several", pictures.length > 1);
    if (kind === "direct") sign.replaceChildren(...pictures.map(createPicture));
    else if (kind === "private") sign.replaceChildren(createLock());
    else sign.textContent = letter;
  }
}

/**
 * Replacing children takes the focus from a link that stays.
 * @param {HTMLElement} list
 * @param {HTMLLIElement[]} items
 */
function fillList(list, items) {
  const same = items.length === list.children.length && items.every((item, index) => item === list.children[index]);
  if (!same) list.replaceChildren(...items);
}

/** @param {string} source */
function createPicture(source) {
  const picture = document.createElement("img");
  picture.className = "avatar";
  picture.alt = "";
  picture.src = source;
  return picture;
}

function createLock() {
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#icon-lock");
  icon.append(use);
  return icon;
}

/** @param {string} words */
function hiddenWords(words) {
  const span = document.createElement("span");
  span.className = "visually-hidden";
  span.textContent = words;
  return span;
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
