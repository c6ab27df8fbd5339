// <list-invites>: the links by which people come in: makes them, shows a new one once, and takes them back.
// It must not know who comes by them.

import { isAtLeast, isInRoomAtLeast, rolesToInvite } from "../models/roles.js";
import { allInvites, makeInvite, revokeInvite } from "../rest-place.js";
import { CopyText } from "./copy-text.js";
import { DialogElement } from "./dialog-element.js";
import { entry, entryButton } from "./entry.js";
import { ROLE_NAMES } from "./person-line.js";

/** @typedef {import("../rest-place.js").Invite} Invite */
/** @typedef {import("../wire.js").Role} Role */

const NO_ROOM = "";

export class ListInvites extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {import("../models/times.js").Times} */ #times;

  /**
   * @param {object} parts
   * @param {import("../models/chat.js").Chat} parts.chat
   * @param {import("../models/times.js").Times} parts.times
   */
  connect({ chat, times }) {
    this.#chat = chat;
    this.#times = times;
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.attempt(() => this.#make());
    });
    this.#select("into").addEventListener("change", () => this.#offerRoles());
    this.child("invites", HTMLElement).addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (button) this.attempt(() => this.#revoke(button.value));
    });
  }

  /** @param {string} [room] that the next invite is to lead to */
  open(room = NO_ROOM) {
    this.find("form", HTMLFormElement).reset();
    this.#offerRooms(room);
    this.#showLink("", "");
    super.open();
    return this.attempt(() => this.#load());
  }

  // Who is no admin invites to a room of theirs, and to the place only with it.
  /** @param {string} room */
  #offerRooms(room) {
    const { rooms, me } = this.#chat;
    const own = rooms.list.filter((one) => one.kind === "private" && isInRoomAtLeast(one, me, "moderator"));
    const into = this.#select("into");
    const place = isAtLeast(me.role, "admin") ? [new Option("The place", NO_ROOM)] : [];
    into.replaceChildren(...place, ...own.map(({ room: id, name }) => new Option(name, id)));
    into.value = room;
    this.child("into", HTMLElement).hidden = own.length === 0;
    this.#offerRoles();
  }

  #offerRoles() {
    const { role } = this.#chat.me;
    const roles = this.#select("into").value === NO_ROOM ? rolesToInvite(role) : rolesToInvite("member");
    this.#select("as").replaceChildren(...roles.map((one) => new Option(ROLE_NAMES[one], one)));
    this.#select("as").value = "member";
  }

  /** @param {string} name */
  #select(name) {
    return this.find(`[name=${name}]`, HTMLSelectElement);
  }

  async #make() {
    const room = this.#select("into").value;
    const uses = Number(this.#select("uses").value);
    const hours = Number(this.#select("hours").value);
    const role = /** @type {Role} */ (this.#select("as").value);
    const wish = { role, ...(room && { room }), ...(uses && { max_uses: uses }), ...(hours && { expires_hours: hours }) };
    const { link, qr } = await makeInvite(wish);
    this.#showLink(new URL(link, location.origin).href, qr);
    await this.#load();
  }

  /**
   * @param {string} link
   * @param {string} qr its picture, as SVG
   */
  #showLink(link, qr) {
    this.child("new-link", HTMLElement).hidden = !link;
    this.find("copy-text", CopyText).show(link);
    const picture = this.child("qr", HTMLImageElement);
    if (qr) picture.src = `data:image/svg+xml,${encodeURIComponent(qr)}`;
    else picture.removeAttribute("src");
    if (link) this.child("new-link", HTMLElement).scrollIntoView({ block: "nearest" });
  }

  async #load() {
    const invites = await allInvites();
    this.child("invites", HTMLElement).replaceChildren(...invites.map((invite) => this.#item(invite)));
    this.say("no-invites", invites.length === 0 ? "No link is open." : "");
  }

  /** @param {string} id */
  async #revoke(id) {
    await revokeInvite(id);
    await this.#load();
  }

  /** @param {Invite} invite */
  #item({ id, role, room, uses, max_uses, expires, by }) {
    const title = room ? `${ROLE_NAMES[role]}, into ${room.name}` : ROLE_NAMES[role];
    const used = max_uses === null ? `used ${uses} times` : `used ${uses} of ${max_uses} times`;
    const facts = [used, expires ? this.#times.until(expires) : "without an end", `by ${this.#chat.names.nameOf(by)}`];
    return entry({ title, facts: facts.join(" · ") }, entryButton("revoke", "Take back", id));
  }
}

customElements.define("list-invites", ListInvites);
