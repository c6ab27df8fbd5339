// The rooms one has joined (and the one being visited): what each is, what is unread in it, and the page's title made
// of it. It must not know logs, the connection or the DOM.

/** @typedef {import("../wire.js").RoomSummary} RoomSummary */
/** @typedef {import("../wire.js").RoomPush} RoomPush */
/** @typedef {import("../wire.js").RoomEvent} RoomEvent */
/** @typedef {import("../wire.js").RoomDetails} RoomDetails */
/** @typedef {import("../wire.js").Author} Author */

/**
 * @typedef {object} Room
 * @property {string} room
 * @property {string} name of a direct room: the others' names
 * @property {import("../wire.js").RoomKind} kind
 * @property {string} topic
 * @property {import("../wire.js").RoomRole | null} role one's own
 * @property {boolean} announcement
 * @property {boolean} archived
 * @property {Author[]} with the others, in a direct room
 * @property {number} slow_seconds
 * @property {boolean} guests whether guests may enter
 * @property {number} head
 * @property {number} read
 * @property {number} unread
 * @property {number} mentions
 * @property {boolean} joined
 */

export const LOBBY = "lobby";
const ALONE = "Only you";
const COUNTED_TO = 99;

/** Dispatches `change`. */
export class Rooms extends EventTarget {
  /** @type {Map<string, Room>} */ #rooms = new Map();

  /** @param {string | null} room */
  get(room) {
    return room === null ? undefined : this.#rooms.get(room);
  }

  /** The lobby, then rooms and then conversations by name: a list that moves under the pointer is no help. */
  get list() {
    const place = (/** @type {Room} */ { room, kind }) => (room === LOBBY ? 0 : kind === "direct" ? 2 : 1);
    return [...this.#rooms.values()].sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name));
  }

  get unread() {
    return this.list.reduce((sum, { unread }) => sum + unread, 0);
  }

  /** @param {RoomSummary[]} summaries what hello says; a room being visited stays */
  replace(summaries) {
    const joined = new Set(summaries.map(({ room }) => room));
    for (const known of this.list) if (known.joined && !joined.has(known.room)) this.#rooms.delete(known.room);
    for (const summary of summaries) this.#put(summary);
    this.#changed();
  }

  /** @param {RoomPush} push */
  update(push) {
    const known = this.#rooms.get(push.room);
    if (!push.gone) this.#put(push);
    else if (known) this.#rooms.set(push.room, { ...known, joined: false, role: null });
    this.#changed();
  }

  /** @param {RoomDetails} details of a room that is listed; others are passed over */
  learn({ room, name, kind, topic, announcement, archived, slow_seconds, guests, role }) {
    const known = this.#rooms.get(room);
    if (!known) return;
    const shown = kind === "direct" ? known.name : name;
    this.#rooms.set(room, { ...known, name: shown, kind, topic, announcement, archived, slow_seconds, guests, role });
    this.#changed();
  }

  /** @param {string} room one that is gone, or closed to oneself */
  remove(room) {
    if (this.#rooms.delete(room)) this.#changed();
  }

  /** @param {Author} user with a new name: conversations are called by it */
  rename({ id, name }) {
    for (const known of this.list) {
      if (!known.with.some((other) => other.id === id)) continue;
      const others = known.with.map((other) => (other.id === id ? { id, name } : other));
      this.#rooms.set(known.room, { ...known, with: others, name: listed(others) });
    }
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
    const entry = known ?? unknown(room);
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
    const next = { ...room, ...changesBy(event, me), head: event.seq };
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
    const { room, head, read, unread, mentions, topic = "", announcement = false, archived = false } = summary;
    const known = this.#rooms.get(room) ?? unknown(room);
    const { kind = known.kind, role = known.role, with: others = [] } = summary;
    const name = kind === "direct" ? listed(others) : (summary.name ?? known.name);
    const what = { name, kind, topic, role, announcement, archived, with: others };
    this.#rooms.set(room, { ...known, ...what, head, read, unread, mentions, joined: true });
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {Pick<Room, "kind" | "name">} room
 * @returns {string} what it is called within a sentence
 */
export function inWords({ kind, name }) {
  return kind === "direct" ? `your conversation with ${name}` : name;
}

/** @param {string} room @returns {Room} one of which nothing is known but its address */
function unknown(room) {
  return {
    room,
    name: room,
    kind: "public",
    topic: "",
    role: null,
    announcement: false,
    archived: false,
    with: [],
    slow_seconds: 0,
    guests: false,
    head: 0,
    read: 0,
    unread: 0,
    mentions: 0,
    joined: room === LOBBY,
  };
}

/** @param {Author[]} others */
function listed(others) {
  const names = others.map(({ name }) => name);
  if (names.length < 2) return names[0] ?? ALONE;
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/**
 * @param {RoomEvent} event
 * @param {string} me
 * @returns {Partial<Room>}
 */
function changesBy({ kind, change, topic, name, announcement, archived, user, role }, me) {
  if (kind === "topic") {
    const changes = Object.entries({ topic, name, announcement, archived });
    return Object.fromEntries(changes.filter(([, value]) => value !== undefined));
  }
  if (kind !== "member") return {};
  if (change === "public" || change === "private") return { kind: change };
  return change === "role" && user?.id === me && role ? { role } : {};
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
 * @param {string} place
 */
export function pageTitle(rooms, open, place) {
  const name = rooms.get(open)?.name;
  const count = countLabel(rooms.unread);
  return [count && `(${count})`, name ? `${name} · ${place}` : place].filter(Boolean).join(" ");
}
