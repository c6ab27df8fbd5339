// Who may do what: the ranks of the place and of a room, and what follows from them for one's own buttons.
// Pure. The server decides in the end; this only spares people what it would refuse. It must not know the DOM.

/** @typedef {import("../wire.js").Role} Role */
/** @typedef {import("../wire.js").RoomRole} RoomRole */
/** @typedef {import("./rooms.js").Room} Room */
/** @typedef {{id: string, role: Role}} Person */

/** @type {Role[]} */
const ROLES = ["guest", "member", "moderator", "admin", "owner"];
/** @type {RoomRole[]} */
export const ROOM_ROLES = ["member", "moderator", "owner"];

/**
 * @param {Role} role
 * @param {Role} least
 */
export function isAtLeast(role, least) {
  return ROLES.indexOf(role) >= ROLES.indexOf(least);
}

/**
 * @param {Person} me
 * @param {Person} person
 */
export function mayModerate(me, person) {
  return isAtLeast(me.role, "moderator") && isAbove(me, person);
}

/**
 * @param {Person} me
 * @param {Person} person with an account
 */
export function mayManage(me, person) {
  return isAtLeast(me.role, "admin") && isAbove(me, person);
}

/**
 * @param {Role} mine
 * @returns {Role[]} those that one may give to an account
 */
export function rolesToGive(mine) {
  if (mine === "owner") return ROLES.slice(1);
  return isAtLeast(mine, "admin") ? ROLES.slice(1, ROLES.indexOf(mine)) : [];
}

/**
 * @param {Role} mine
 * @returns {Role[]} those that an invite of one's own may give
 */
export function rolesToInvite(mine) {
  return isAtLeast(mine, "admin") ? ROLES.slice(0, ROLES.indexOf(mine)) : ["guest", "member"];
}

/**
 * The role that counts in a room: in a public one the place's staff ranks too.
 * @param {Pick<Room, "kind" | "role">} room
 * @param {Person} me
 * @returns {RoomRole | null} null for who is no member
 */
export function roleIn({ kind, role }, me) {
  if (kind !== "public") return role;
  if (isAtLeast(me.role, "admin")) return "owner";
  return isAtLeast(me.role, "moderator") && role !== "owner" ? "moderator" : role;
}

/**
 * @param {Pick<Room, "kind" | "role">} room
 * @param {Person} me
 * @param {RoomRole} least
 */
export function isInRoomAtLeast(room, me, least) {
  const role = roleIn(room, me);
  return role !== null && ROOM_ROLES.indexOf(role) >= ROOM_ROLES.indexOf(least);
}

/**
 * @param {Pick<Room, "kind" | "role">} room
 * @param {Person} me
 * @param {RoomRole} role of somebody else in the room
 */
export function mayRemove(room, me, role) {
  const mine = roleIn(room, me);
  if (room.kind === "direct" || mine === null || mine === "member") return false;
  return mine === "owner" || ROOM_ROLES.indexOf(role) < ROOM_ROLES.indexOf(mine);
}

/**
 * @param {Pick<Room, "kind" | "role">} room
 * @param {Person} me
 * @param {import("../wire.js").RoomEvent} message
 */
export function mayDelete(room, me, message) {
  return message.author.id === me.id || isAtLeast(me.role, "moderator") || isInRoomAtLeast(room, me, "moderator");
}

/**
 * @param {Person} me
 * @param {Person} person
 */
function isAbove(me, person) {
  return me.id !== person.id && ROLES.indexOf(person.role) < ROLES.indexOf(me.role);
}
