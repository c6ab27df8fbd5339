// Whether one may write in a room just now: what closes it, and how long slow mode has one wait.
// Pure. It must not know the composer, nor any words.

import { isInRoomAtLeast } from "./roles.js";

/** @typedef {import("./rooms.js").Room} Room */
/** @typedef {"archived" | "announcement" | "muted"} Closed */

/**
 * @param {Pick<Room, "kind" | "role" | "archived" | "announcement">} room
 * @param {import("./me.js").Me} me
 * @param {number} now
 * @returns {Closed | null} null where it is open
 */
export function whyClosed(room, me, now) {
  if (room.archived) return "archived";
  if (room.announcement && !isInRoomAtLeast(room, me, "moderator")) return "announcement";
  return me.mutedUntil !== null && Date.parse(me.mutedUntil) > now ? "muted" : null;
}

/**
 * @param {object} parts
 * @param {Pick<Room, "kind" | "role" | "slow_seconds">} parts.room
 * @param {import("./me.js").Me} parts.me
 * @param {import("./room-log.js").RoomLog | null} parts.log
 * @param {import("./unsent.js").UnsentMessage[]} parts.unsent
 * @param {number} parts.now
 * @returns {number} ms until the next message of one's own may go
 */
export function slowFor({ room, me, log, unsent, now }) {
  if (room.slow_seconds === 0 || isInRoomAtLeast(room, me, "moderator")) return 0;
  const stored = log?.entries.findLast(({ kind, author }) => kind === "message" && author.id === me.id);
  const times = [...(stored ? [Date.parse(stored.at)] : []), ...unsent.filter(({ state }) => state !== "failed").map(({ at }) => at)];
  if (times.length === 0) return 0;
  // The server's clock may be ahead of this one; nobody is to wait for that.
  const last = Math.min(now, Math.max(...times));
  return Math.max(0, last + room.slow_seconds * 1000 - now);
}
