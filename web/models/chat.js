// One user's chat while the page is open: brings hello and pushes to the models they concern, and what the user does
// to the connection. The one place where the models meet. It must not know the DOM or REST.

import { Drafts } from "./drafts.js";
import { Follower } from "./follower.js";
import { Me } from "./me.js";
import { Names } from "./names.js";
import { PlaceLook } from "./place-look.js";
import { Presence } from "./presence.js";
import { Reading } from "./reading.js";
import { inWords, Rooms } from "./rooms.js";
import { Sender } from "./sender.js";
import { Typing } from "./typing.js";
import { Unsent } from "./unsent.js";

/** @typedef {import("../wire.js").Push} Push */
/** @typedef {import("../wire.js").Hello} Hello */
/** @typedef {import("../wire.js").EventPush} EventPush */

const NAMES_AT_ONCE = 100;

/**
 * Dispatches `open`, `post`, `stranger` when hello greets someone else, `lost` when the open room's right ended, and
 * `away` when the server has lost its store or has it back.
 */
export class Chat extends EventTarget {
  #sender;
  #away = false;

  /**
   * @param {object} parts
   * @param {import("../wire.js").Author & ConstructorParameters<typeof Me>[0]} parts.user
   * @param {import("./connection.js").Connection} parts.connection
   * @param {import("../storage.js").Storage} parts.storage
   * @param {import("./clock.js").Clock} parts.clock
   */
  constructor({ user, connection, storage, clock }) {
    super();
    /** @type {import("../wire.js").Author} */ this.user = { id: user.id, name: user.name };
    this.me = new Me(user);
    this.place = new PlaceLook();
    this.connection = connection;
    this.textBytes = Infinity;
    this.names = new Names();
    this.rooms = new Rooms();
    this.presence = new Presence();
    this.typing = new Typing(clock, user.id);
    this.drafts = new Drafts({ storage, userId: user.id, clock });
    this.unsent = new Unsent({ storage, userId: user.id, clock });
    this.follower = new Follower(connection);
    this.reading = new Reading({
      rooms: this.rooms,
      tell: (room, seq) => connection.tell({ type: "read", room, seq }),
      clock,
      me: user.id,
    });
    this.#sender = new Sender(connection, this.unsent, clock);

    connection.addEventListener("hello", (event) => this.#greeted(/** @type {CustomEvent} */ (event).detail));
    connection.addEventListener("push", (event) => this.#pushed(/** @type {CustomEvent} */ (event).detail));
    this.follower.addEventListener("event", (event) => this.#took(/** @type {CustomEvent} */ (event).detail));
    this.follower.addEventListener("change", () => this.#settle());
    this.follower.addEventListener("lost", () => this.room && this.#lose(this.room));
  }

  /** The id of the room that is open. */
  get room() {
    return this.follower.room;
  }

  /** The server cannot store anything for the moment. */
  get away() {
    return this.#away;
  }

  /**
   * @param {string} room
   * @param {{name?: string, seq?: number}} [options]
   */
  open(room, { name, seq } = {}) {
    this.rooms.visit(room, name);
    if (room !== this.room) {
      this.presence.clear();
      this.typing.clear();
      this.reading.enter(room);
    }
    if (room === this.room && this.follower.log && seq === undefined) this.follower.jumpToEnd();
    else this.follower.open(room, { around: seq, head: this.rooms.get(room)?.head });
    this.dispatchEvent(new Event("open"));
  }

  /** @param {string} text */
  post(text) {
    if (!this.room) return;
    this.unsent.add(this.room, text);
    this.typing.restart();
    this.follower.jumpToEnd();
    this.dispatchEvent(new Event("post"));
    this.#sender.flush();
  }

  /** @param {string} txnId */
  retry(txnId) {
    this.unsent.retry(txnId);
    this.#sender.flush();
  }

  /** A key was pressed that changed what is being written. */
  typed() {
    if (this.room && this.typing.mayTell()) this.connection.tell({ type: "typing", room: this.room });
  }

  /** On signing out: nothing that was begun here is left behind. */
  forget() {
    this.unsent.forget();
    this.drafts.forget();
  }

  /**
   * @param {string} name
   * @returns {Promise<string>} the new room's id
   */
  async create(name) {
    const { room } = await this.connection.request({ type: "create", name });
    return room;
  }

  /** In a large room: the next names of those present. */
  async learnNames() {
    const { room } = this;
    const reply = await this.connection.request({
      type: "present",
      room,
      after: this.presence.lastId,
      limit: NAMES_AT_ONCE,
    });
    if (room === this.room) this.presence.learn(reply.users);
  }

  /** @param {Hello} hello */
  #greeted(hello) {
    if (hello.user.id !== this.user.id) {
      this.dispatchEvent(new Event("stranger"));
      return;
    }
    this.user = { id: hello.user.id, name: hello.user.name };
    this.me.greeted(hello.user);
    this.textBytes = hello.limits.text_bytes;
    this.rooms.replace(hello.rooms);
    this.typing.clear();
    this.#setAway(false);
    if (this.room) {
      if (this.follower.log) this.reading.reconnected();
      else this.reading.enter(this.room);
      this.follower.resume();
    }
    this.#sender.flush();
  }

  /** @param {Push} push */
  #pushed(push) {
    if (push.type === "event") this.follower.heard(push);
    else if (push.type === "room") this.#counted(push);
    else if (push.type === "reset") this.follower.wasReset(push.room);
    else if (push.type === "user") this.#renamed(push);
    else if (push.type === "me") this.me.apply(push);
    else if (push.type === "place") this.place.apply(push);
    else if (push.type === "store") this.#setAway(push.away);
    else if (push.type === "presence" && push.room === this.room) this.presence.apply(push);
    else if (push.type === "typing" && push.room === this.room) this.typing.replace(push.users);
  }

  /** @param {boolean} away */
  #setAway(away) {
    if (away === this.#away) return;
    this.#away = away;
    this.dispatchEvent(new Event("away"));
  }

  /** @param {import("../wire.js").RoomPush} push */
  #counted(push) {
    const known = this.rooms.get(push.room);
    const { read, unread, mentions } = known && this.reading.knowsBetter(push) ? known : push;
    this.rooms.update({ ...push, read, unread, mentions });
    if (push.gone) this.#rightEnded(push.room);
  }

  // Who has left a public room may still read it, unless it was deleted: then asking for it again says so.
  /** @param {string} room */
  #rightEnded(room) {
    const isPublic = this.rooms.get(room)?.kind === "public";
    if (!isPublic) this.#lose(room);
    else if (room === this.room) this.follower.resume();
  }

  /** @param {string} room */
  #lose(room) {
    const known = this.rooms.get(room);
    const name = known ? inWords(known) : room;
    const wasOpen = room === this.room;
    this.follower.drop(room);
    this.rooms.remove(room);
    if (wasOpen) this.dispatchEvent(new CustomEvent("lost", { detail: { name } }));
  }

  /** @param {EventPush} event */
  #took(event) {
    if (event.kind === "message") this.typing.wrote(event.author.id);
    this.reading.heard(event);
    this.rooms.arrived(event, this.user.id);
    this.reading.keepUp(event.seq);
  }

  // Own messages that stand in the log wait no longer, whichever way they came to be known.
  #settle() {
    const { log } = this.follower;
    if (!log) return;
    for (const { txn_id } of this.unsent.of(log.room)) {
      const stands = log.entries.some((entry) => entry.txn_id === txn_id && entry.author.id === this.user.id);
      if (stands) this.unsent.discard(txn_id);
    }
    this.unsent.settle(log.room, log.cursor.seq);
  }

  /** @param {import("../wire.js").UserPush} user */
  #renamed(user) {
    this.names.changed(user);
    this.presence.rename(user);
    this.rooms.rename(user);
    if (user.id === this.user.id) this.user = { id: user.id, name: user.name };
  }
}
