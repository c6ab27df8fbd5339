// The address bar: opens the room or message that an address names, follows links within the page without loading
// it anew, and steps from room to room. It must not know how a room is shown.

import { addressOf, parseAddress } from "./models/address.js";
import { LOBBY } from "./models/rooms.js";
import { roomDetails } from "./rest-place.js";

const LAST_ROOM = "chinwag:last-room";

/** Dispatches `going` with the room and the message sought, just before it is opened. */
export class Router extends EventTarget {
  #chat;
  #storage;

  /** @param {{chat: import("./models/chat.js").Chat, storage: import("./storage.js").Storage}} parts */
  constructor({ chat, storage }) {
    super();
    this.#chat = chat;
    this.#storage = storage;
  }

  start() {
    const place = parseAddress(location.pathname);
    const room = place.room ?? this.#storage.get(LAST_ROOM) ?? LOBBY;
    history.replaceState(null, "", addressOf(room, place.seq));
    this.#open(room, place.seq);
    addEventListener("popstate", () => {
      const { room: back, seq } = parseAddress(location.pathname);
      this.#open(back ?? LOBBY, seq);
    });
    document.addEventListener("click", (event) => this.#follow(event));
  }

  /**
   * @param {string} room
   * @param {{name?: string, seq?: number}} [options]
   */
  go(room, { name, seq } = {}) {
    const address = addressOf(room, seq);
    if (address !== location.pathname) history.pushState(null, "", address);
    this.#open(room, seq, name);
  }

  /** @param {"above" | "below" | "unread"} where */
  step(where) {
    const { list } = this.#chat.rooms;
    const at = list.findIndex(({ room }) => room === this.#chat.room);
    const after = [...list.slice(at + 1), ...list.slice(0, at)];
    const next = where === "unread" ? after.find(({ unread }) => unread > 0) : after.at(where === "below" ? 0 : -1);
    if (next) this.go(next.room);
  }

  /**
   * @param {string} room
   * @param {number} [seq]
   * @param {string} [name]
   */
  #open(room, seq, name) {
    this.#storage.set(LAST_ROOM, room);
    this.dispatchEvent(new CustomEvent("going", { detail: { room, seq } }));
    this.#chat.open(room, { seq, name });
    this.#learn(room);
  }

  // A room that one has not joined is in no list yet, and of one's own the list does not tell everything.
  /** @param {string} room */
  async #learn(room) {
    try {
      const details = await roomDetails(room);
      if (this.#chat.room === room) this.#chat.rooms.learn(details);
    } catch {
      // The address will do for a name; and what one may not do here, the server says.
    }
  }

  /** @param {MouseEvent} event */
  #follow(event) {
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!plain || event.defaultPrevented || !link || link.origin !== location.origin || link.target === "_blank") return;
    const { room, seq } = parseAddress(link.pathname);
    if (!room && link.pathname !== "/") return;
    if (link.hash) return;
    event.preventDefault();
    this.go(room ?? LOBBY, { seq });
  }
}
