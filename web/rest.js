// What the page asks over REST: the session, the list of public rooms, joining and leaving.
// It must not know the socket, the models or the DOM.

/** @typedef {{id: string, name: string, guest?: boolean, role?: import("./wire.js").Role, email?: string, ignored?: string[]}} SessionUser */
/** @typedef {{room: string, name: string, head: number, online: number, joined: boolean}} PublicRoom */

/** The server answered with an error, in its own words. */
export class RestError extends Error {
  /**
   * @param {number} status
   * @param {{code: string, message: string}} error
   */
  constructor(status, { code, message }) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @returns {Promise<import("./wire.js").Place>} */
export function thePlace() {
  return call("GET", "/api/place");
}

/** @returns {Promise<SessionUser | null>} null without a session */
export async function currentUser() {
  try {
    return (await call("GET", "/api/session")).user;
  } catch (error) {
    if (error instanceof RestError && error.status === 401) return null;
    throw error;
  }
}

/**
 * @param {{name: string, email?: string}} who
 * @returns {Promise<SessionUser>}
 */
export async function signIn(who) {
  return (await call("POST", "/api/session", who)).user;
}

/**
 * @param {{name?: string, email?: string | null}} changes
 * @returns {Promise<SessionUser>}
 */
export async function changeUser(changes) {
  return (await call("PATCH", "/api/session", changes)).user;
}

export async function signOut() {
  await call("DELETE", "/api/session");
}

/**
 * @param {{q?: string, after?: string}} [options]
 * @returns {Promise<{rooms: PublicRoom[], more: boolean}>}
 */
export function publicRooms({ q, after } = {}) {
  const query = new URLSearchParams({ ...(q && { q }), ...(after && { after }) });
  return call("GET", `/api/rooms?${query}`);
}

/** @param {string} room */
export async function joinRoom(room) {
  await call("PUT", `/api/rooms/${encodeURIComponent(room)}/members/me`);
}

/** @param {string} room */
export async function leaveRoom(room) {
  await call("DELETE", `/api/rooms/${encodeURIComponent(room)}/members/me`);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new RestError(response.status, answer?.error ?? { code: "failed", message: `the server answered ${response.status}` });
}
