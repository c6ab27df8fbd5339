// The page's addresses: / is home, /r/ROOM a room, /r/ROOM/SEQ a message in it, /join#TOKEN a link to come in by.
// Pure. It must not know the browser's history or which room is open.

/** @typedef {{room: string | null, seq?: number}} Place */

/**
 * @param {string} path
 * @returns {Place}
 */
export function parseAddress(path) {
  const [, room, seq] = /^\/r\/([^/]+)(?:\/(\d{1,15}))?\/?$/.exec(path) ?? [];
  if (!room) return { room: null };
  return { room: decode(room), ...(seq !== undefined && { seq: Number(seq) }) };
}

/**
 * @param {string} room
 * @param {number} [seq]
 */
export function addressOf(room, seq) {
  const path = `/r/${encodeURIComponent(room)}`;
  return seq === undefined ? path : `${path}/${seq}`;
}

/**
 * @param {string} path
 * @param {string} hash
 * @returns {string | null} the token of a link to come in by
 */
export function linkOf(path, hash) {
  return path === "/join" && hash.length > 1 ? hash.slice(1) : null;
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
