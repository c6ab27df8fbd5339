// What the page asks over REST: who is here, signing in and out, one's own account, the list of public rooms.
// It must not know the socket, the models or the DOM.

/** @typedef {import("./wire.js").Role} Role */

/**
 * @typedef {object} SessionUser oneself
 * @property {string} id
 * @property {string} name
 * @property {boolean} guest
 * @property {Role} role
 * @property {string} [email]
 * @property {boolean} email_verified
 * @property {boolean} password whether there is one
 * @property {boolean} second_factor
 * @property {string[]} providers
 * @property {"upload" | "provider" | "gravatar" | "generated"} picture where it comes from
 * @property {string[]} ignored
 */

/** @typedef {{user: SessionUser, room?: string}} Entered who came in, and the room that an invite led to */
/** @typedef {{id: string, current: boolean, label: string, created: string, seen: string}} OwnSession */
/** @typedef {"read" | "post" | "admin"} Scope */
/** @typedef {{id: string, name: string, scopes: Scope[], created: string, seen: string | null}} Token */
/** @typedef {{room: string, name: string, head: number, online: number, joined: boolean}} PublicRoom */

/** The server answered with an error, in its own words. */
export class RestError extends Error {
  /**
   * @param {number} status
   * @param {{code: string, message: string, retry_after_ms?: number}} error
   */
  constructor(status, { code, message, retry_after_ms }) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retry_after_ms;
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
 * @param {{name: string, email?: string, invite?: string} | {login: string, password: string, code?: string}} who a
 *   guest, or somebody with an account
 * @returns {Promise<Entered>}
 */
export function signIn(who) {
  return call("POST", "/api/session", who);
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
 * Who is here as a guest keeps everything and has an account from then on.
 * @param {{name: string, password: string, email?: string, invite?: string}} account
 * @returns {Promise<Entered>}
 */
export function makeAccount(account) {
  return call("POST", "/api/account", account);
}

/** @param {{password?: string}} proof the password, where there is one */
export async function deleteAccount(proof) {
  await call("DELETE", "/api/account", proof);
}

/** @param {{password?: string, new: string}} change */
export async function changePassword(change) {
  await call("PUT", "/api/account/password", change);
}

/** @param {string} login */
export async function forgotPassword(login) {
  await call("POST", "/api/account/forgotten", { login });
}

/** @param {{link: string, new: string}} reset */
export async function resetPassword(reset) {
  await call("POST", "/api/account/reset", reset);
}

/**
 * @param {string} password
 * @returns {Promise<{secret: string, uri: string, qr: string}>}
 */
export function prepareSecondFactor(password) {
  return call("POST", "/api/account/second-factor", { password });
}

/**
 * @param {string} code
 * @returns {Promise<{recovery: string[]}>}
 */
export function switchSecondFactorOn(code) {
  return call("PUT", "/api/account/second-factor", { code });
}

/** @param {string} password */
export async function switchSecondFactorOff(password) {
  await call("DELETE", "/api/account/second-factor", { password });
}

/** @returns {Promise<OwnSession[]>} */
export async function ownSessions() {
  return (await call("GET", "/api/sessions")).sessions;
}

/** @param {string} id */
export async function endSession(id) {
  await call("DELETE", `/api/sessions/${encodeURIComponent(id)}`);
}

/** This session ends too. */
export async function signOutEverywhere() {
  await call("DELETE", "/api/sessions");
}

/** @returns {Promise<Token[]>} */
export async function ownTokens() {
  return (await call("GET", "/api/tokens")).tokens;
}

/**
 * @param {{name: string, scopes: Scope[]}} token
 * @returns {Promise<{id: string, token: string}>}
 */
export function makeToken(token) {
  return call("POST", "/api/tokens", token);
}

/** @param {string} id */
export async function revokeToken(id) {
  await call("DELETE", `/api/tokens/${encodeURIComponent(id)}`);
}

/**
 * @param {string} link the token of a link to come in by
 * @returns {Promise<import("./wire.js").Link>}
 */
export function lookAtLink(link) {
  return call("POST", "/api/links/look", { link });
}

/**
 * @param {string} link
 * @returns {Promise<Entered>}
 */
export function acceptLink(link) {
  return call("POST", "/api/links/use", { link });
}

// fetch tells nothing of an upload's progress.
/**
 * @param {Blob} picture
 * @param {(share: number) => void} progress from 0 to 1
 * @returns {Promise<void>}
 */
export function putPicture(picture, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", "/api/account/picture");
    request.setRequestHeader("content-type", picture.type);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0);
    request.onload = () => {
      if (request.status < 300) resolve();
      else reject(refusal(request.status, request.response));
    };
    request.onerror = () => reject(new TypeError("the picture did not arrive"));
    request.send(picture);
  });
}

export async function removePicture() {
  await call("DELETE", "/api/account/picture");
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
  throw refusal(response.status, answer);
}

/**
 * @param {number} status
 * @param {any} answer
 */
function refusal(status, answer) {
  return new RestError(status, answer?.error ?? { code: "failed", message: `the server answered ${status}` });
}
