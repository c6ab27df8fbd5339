// What the page asks over REST about rooms, people and the place, and what it has done to them.
// It must not know the socket, the models or the DOM.

import { call } from "./rest.js";

/** @typedef {import("./wire.js").Author} Author */
/** @typedef {import("./wire.js").Place} Place */
/** @typedef {import("./wire.js").Role} Role */
/** @typedef {import("./wire.js").RoomRole} RoomRole */
/** @typedef {import("./wire.js").RoomDetails} RoomDetails */

/**
 * @typedef {object} Person with an account
 * @property {string} id
 * @property {string} name
 * @property {Role} role
 * @property {boolean} online
 * @property {string | null} [muted_until] for moderators; absent: not muted
 * @property {string | null} [banned_until]
 */

/** @typedef {{id: string, name: string, role: RoomRole, guest: boolean}} Member */
/** @typedef {{id: string, role: Role, room?: {room: string, name: string}, uses: number, max_uses: number | null, expires: string | null, by: Author}} Invite */
/** @typedef {{role?: Role, room?: string, max_uses?: number, expires_hours?: number}} InviteWish */
/** @typedef {{id: string, name: string, until: string | null, reason: string}} Ban */
/** @typedef {{id: number, room: string, room_name: string, seq: number, text: string, author: Author, by: Author, reason: string, at: string}} Report */
/** @typedef {{id: number, at: string, by: Author, act: string, subject: string, detail: string}} AuditEntry */

/**
 * @param {{kind: "private", name: string} | {kind: "direct", members: string[]}} room
 * @returns {Promise<string>} its id; for a direct room that exists already, the one it has
 */
export async function createRoom(room) {
  return (await call("POST", "/api/rooms", room)).room;
}

/**
 * @param {string} room
 * @returns {Promise<RoomDetails>}
 */
export function roomDetails(room) {
  return call("GET", pathOf(room));
}

/**
 * @param {string} room
 * @param {Partial<RoomDetails>} changes
 * @returns {Promise<RoomDetails>}
 */
export function changeRoom(room, changes) {
  return call("PATCH", pathOf(room), changes);
}

/** @param {string} room */
export async function deleteRoom(room) {
  await call("DELETE", pathOf(room));
}

/**
 * @param {string} room
 * @param {string} [after] the id of the last one known
 * @returns {Promise<{members: Member[], more: boolean}>}
 */
export function roomMembers(room, after) {
  return call("GET", `${pathOf(room)}/members?${query({ after })}`);
}

/**
 * Adds a member, or changes the role of one.
 * @param {string} room
 * @param {string} user
 * @param {RoomRole} [role]
 */
export async function putMember(room, user, role) {
  await call("PUT", `${pathOf(room)}/members/${encodeURIComponent(user)}`, role ? { role } : {});
}

/**
 * @param {string} room
 * @param {string} user
 */
export async function removeMember(room, user) {
  await call("DELETE", `${pathOf(room)}/members/${encodeURIComponent(user)}`);
}

/**
 * @param {string} room
 * @param {number} seq
 */
export async function deleteMessage(room, seq) {
  await call("DELETE", `${pathOf(room)}/messages/${seq}`);
}

/**
 * @param {string} room
 * @param {number} seq
 * @param {string} reason
 */
export async function reportMessage(room, seq, reason) {
  await call("POST", `${pathOf(room)}/messages/${seq}/report`, { reason });
}

/**
 * @param {{q?: string, after?: string}} [options]
 * @returns {Promise<{users: Person[], more: boolean}>}
 */
export function findPeople({ q, after } = {}) {
  return call("GET", `/api/users?${query({ q, after })}`);
}

/**
 * @param {string} id
 * @returns {Promise<Person>}
 */
export function personOf(id) {
  return call("GET", userPath(id));
}

/**
 * @param {string} id
 * @param {Role} role
 */
export async function giveRole(id, role) {
  await call("PATCH", userPath(id), { role });
}

/**
 * @param {string} id
 * @param {number | null} minutes null: until somebody lifts it
 */
export async function mute(id, minutes) {
  await call("POST", `${userPath(id)}/mute`, { minutes });
}

/** @param {string} id */
export async function liftMute(id) {
  await call("DELETE", `${userPath(id)}/mute`);
}

/** @param {string} id */
export async function kick(id) {
  await call("POST", `${userPath(id)}/kick`);
}

/**
 * @param {string} id
 * @param {{minutes: number | null, reason?: string}} ban
 */
export async function ban(id, ban) {
  await call("POST", `${userPath(id)}/ban`, ban);
}

/** @param {string} id */
export async function liftBan(id) {
  await call("DELETE", `${userPath(id)}/ban`);
}

/**
 * @param {string} id
 * @returns {Promise<string>} a link by which a new password is set, once
 */
export async function makeResetLink(id) {
  return (await call("POST", `${userPath(id)}/reset`)).link;
}

/** @param {string} id */
export async function ignore(id) {
  await call("PUT", `/api/ignored/${encodeURIComponent(id)}`);
}

/** @param {string} id */
export async function stopIgnoring(id) {
  await call("DELETE", `/api/ignored/${encodeURIComponent(id)}`);
}

/**
 * @param {Partial<Pick<Place, "name" | "welcome" | "accent" | "join" | "guests_paused">>} changes
 * @returns {Promise<Place>}
 */
export function changePlace(changes) {
  return call("PATCH", "/api/place", changes);
}

/** @returns {Promise<Invite[]>} */
export async function allInvites() {
  return (await call("GET", "/api/invites")).invites;
}

/**
 * @param {InviteWish} wish
 * @returns {Promise<{id: string, link: string, qr: string}>} the link is told this once
 */
export function makeInvite(wish) {
  return call("POST", "/api/invites", wish);
}

/** @param {string} id */
export async function revokeInvite(id) {
  await call("DELETE", `/api/invites/${encodeURIComponent(id)}`);
}

/** @returns {Promise<Report[]>} those that wait */
export async function openReports() {
  return (await call("GET", "/api/reports")).reports;
}

/** @param {number} id */
export async function settleReport(id) {
  await call("DELETE", `/api/reports/${encodeURIComponent(id)}`);
}

/** @returns {Promise<Ban[]>} */
export async function allBans() {
  return (await call("GET", "/api/bans")).bans;
}

/**
 * @param {number} [before] the id of the oldest one known
 * @returns {Promise<{entries: AuditEntry[], more: boolean}>} the newest first
 */
export function auditLog(before) {
  return call("GET", `/api/audit?${query({ before: before?.toString() })}`);
}

/** @param {string} room */
function pathOf(room) {
  return `/api/rooms/${encodeURIComponent(room)}`;
}

/** @param {string} id */
function userPath(id) {
  return `/api/users/${encodeURIComponent(id)}`;
}

/** @param {Record<string, string | undefined>} fields empty ones are left out */
function query(fields) {
  return new URLSearchParams(Object.entries(fields).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
