// The quiet lines between messages, in words: who came and went, who was brought or made what, what the room is called
// and about. Pure. It must not know the DOM.

/** @typedef {import("../wire.js").RoomEvent} RoomEvent */

/** @type {Record<string, string>} */
const ROLE_WORDS = { member: "a member", moderator: "a moderator", owner: "an owner" };

/**
 * @param {RoomEvent} event of kind `member` or `topic`
 * @param {(user: import("../wire.js").Author) => string} nameOf
 * @returns {string}
 */
export function noticeOf(event, nameOf) {
  const who = nameOf(event.author);
  return event.kind === "topic" ? aboutRoom(event, who) : aboutMember(event, who, event.user ? nameOf(event.user) : "somebody");
}

/**
 * @param {RoomEvent} event
 * @param {string} who
 * @param {string} whom
 */
function aboutMember({ change, role = "member" }, who, whom) {
  if (change === "left") return `${who} left`;
  if (change === "added") return `${who} added ${whom}`;
  if (change === "removed") return `${who} removed ${whom}`;
  if (change === "role") return `${who} made ${whom} ${ROLE_WORDS[role]}`;
  if (change === "public") return `${who} opened the door: the room is public now`;
  if (change === "private") return `${who} closed the door: the room is private now`;
  return `${who} joined`;
}

/**
 * @param {RoomEvent} event
 * @param {string} who
 */
function aboutRoom({ name, topic, announcement, archived }, who) {
  const changes = [
    name !== undefined && `called the room ${name}`,
    topic !== undefined && (topic ? `set the topic: ${topic}` : "took the topic away"),
    announcement !== undefined && (announcement ? "left writing to the moderators" : "let everyone write"),
    archived !== undefined && (archived ? "archived the room" : "took the room out of the archive"),
  ].filter(Boolean);
  return `${who} ${changes.join(", and ") || "changed the room"}`;
}
