// The rooms one has joined (and the one being visited), with what is unread in each, and the page's title made of
// it. It must not know logs, the connection or the DOM.

/** @typedef {import("../wire.js").RoomSummary} RoomSummary */
/** @typedef {import("../wire.js").RoomPush} RoomPush */
/** @typedef {import("../wire.js").RoomEvent} RoomEvent */
/** @typedef {{room: string, name: string, head: number, read: number, unread: number, mentions: number, joined: boolean}} Room */

export const LOBBY = "lobby";
const COUNTED_TO = 99;

/** Dispatches `change`. */
export class Rooms extends EventTarget {
  /** @type {Map<string, Room>} */ #rooms = new Map();

  /** @param {string | null} room */
  get(room) {
    return room === null ? undefined : this.#rooms.get(room);
  }

  /** The lobby, then by name: a list that moves under the pointer is no help. */
  get list() {
    return [...this.#rooms.values()].sort(
      (a, b) => Number(b.room === LOBBY) - Number(a.room === LOBBY) || a.name.localeCompare(b.name),
    );
  }

  get unread() {
    return this.list.reduce((sum, { unread }) => sum + unread, 0);
  }

  /** @param {RoomSummary[]} summaries what hello says; a room being visited stays */
  replace(summaries) {
    const visited = this.list.filter(({ joined }) => !joined);
    this.#rooms.clear();
    for (const room of visited) this.#rooms.set(room.room, room);
    for (const summary of summaries) this.#put(summary);
    this.#changed();
  }

  /** @param {RoomPush} push */
  update(push) {
    const known = this.#rooms.get(push.room);
    if (!push.gone) this.#put(push);
    else if (known) this.#rooms.set(push.room, { ...known, joined: false });
    this.#changed();
  }

  /**
   * @param {string} room opened, joined or not
   * @param {string} [name]
   */
  visit(room, name) {
    for (const { room: other, joined } of this.list) {
      if (!joined && other !== room) this.#rooms.delete(other);
    }
    const known = this.#rooms.get(room);
    const entry = known ?? { room, name: room, head: 0, read: 0, unread: 0, mentions: 0, joined: room === LOBBY };
    this.#rooms.set(room, { ...entry, name: name ?? entry.name });
    this.#changed();
  }

  /**
   * An event of the room that is open; what hello has counted is not counted again.
   * @param {RoomEvent & {room: string}} event
   * @param {string} me
   */
  arrived(event, me) {
    const room = this.#rooms.get(event.room);
    if (!room || event.seq <= room.head) return;
    const next = { ...room, head: event.seq };
    if (event.kind === "message" && event.author.id === me) {
      Object.assign(next, { read: event.seq, unread: 0, mentions: 0 });
    } else if (event.kind === "message") {
      next.unread = Math.min(COUNTED_TO + 1, room.unread + 1);
      if (event.mentions?.includes(me)) next.mentions += 1;
    }
    this.#rooms.set(event.room, next);
    this.#changed();
  }

  /**
   * @param {string} room
   * @param {number} seq
   */
  markRead(room, seq) {
    const known = this.#rooms.get(room);
    if (!known || (known.read >= seq && known.unread === 0)) return;
    this.#rooms.set(room, { ...known, read: Math.max(known.read, seq), unread: 0, mentions: 0 });
    this.#changed();
  }

  /** @param {RoomSummary} summary */
  #put(summary) {
    const { room, head, read, unread, mentions } = summary;
    const name = summary.name ?? this.#rooms.get(room)?.name ?? room;
    this.#rooms.set(room, { room, name, head, read, unread, mentions, joined: true });
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {number} count
 * @returns {string} as people read it; empty for none
 */
export function countLabel(count) {
  if (count === 0) return "";
  return count > COUNTED_TO ? `${COUNTED_TO}+` : String(count);
}

/**
 * @param {Rooms} rooms
 * @param {string | null} open
 */
export function pageTitle(rooms, open) {
  const name = rooms.get(open)?.name;
  const count = countLabel(rooms.unread);
  return [count && `(${count})`, name ? `${name} · Chinwag` : "Chinwag"].filter(Boolean).join(" ");
}
