// The words of the wire that the page speaks: the shapes of frames as types, and the close codes by name.
// Types and constants only. It must not know sockets, models or the DOM.

/** @typedef {{id: string, name: string}} Author */
/** @typedef {{epoch: string, seq: number}} Cursor */
/** @typedef {"public" | "private" | "direct"} RoomKind */
/** @typedef {"member" | "moderator" | "owner"} RoomRole from the least to the most */

/**
 * @typedef {object} RoomEvent
 * @property {number} seq
 * @property {string} kind
 * @property {string} at
 * @property {Author} author
 * @property {string} [id]
 * @property {string} [txn_id]
 * @property {string} [text]
 * @property {string} [html]
 * @property {string[]} [mentions]
 * @property {boolean} [redacted]
 * @property {unknown} [edited]
 * @property {number} [target]
 * @property {string} [all_of] the id of a user all of whose messages are deleted
 * @property {string} [change]
 * @property {Author} [user] whom the change is about, if not the author
 * @property {RoomRole} [role]
 * @property {string} [topic]
 * @property {string} [name]
 * @property {boolean} [announcement]
 * @property {boolean} [archived]
 */

/**
 * @typedef {object} RoomSummary
 * @property {string} room
 * @property {string} [name]
 * @property {number} head
 * @property {number} read
 * @property {number} unread
 * @property {number} mentions
 * @property {string} [epoch]
 * @property {RoomKind} [kind]
 * @property {string} [topic]
 * @property {RoomRole | null} [role] one's own in the room
 * @property {boolean} [announcement]
 * @property {boolean} [archived]
 * @property {Author[]} [with] the others in a direct room
 */

/**
 * @typedef {object} RoomDetails
 * @property {string} room
 * @property {string} name
 * @property {RoomKind} kind
 * @property {string} topic
 * @property {boolean} announcement only moderators post
 * @property {boolean} archived
 * @property {number} slow_seconds between two messages of one person
 * @property {boolean} guests whether guests may enter
 * @property {RoomRole | null} role
 * @property {number} members
 */

/**
 * @typedef {object} Hello
 * @property {"hello"} type
 * @property {number} protocol
 * @property {Author & {guest?: boolean, role?: Role}} user
 * @property {RoomSummary[]} rooms
 * @property {number} heartbeat_ms
 * @property {{text_bytes: number, frame_bytes: number}} limits
 */

/** @typedef {{epoch: string, head: number, oldest: number, messages: RoomEvent[], more: boolean}} Page */

/** @typedef {RoomEvent & {type: "event", room: string}} EventPush */
/** @typedef {{type: "presence", room: string, count: number, online?: Author[], joined?: Author[], left?: string[]}} PresencePush */
/** @typedef {{type: "typing", room: string, users: Author[]}} TypingPush */
/** @typedef {RoomSummary & {type: "room", gone?: boolean}} RoomPush */
/** @typedef {{type: "user", id: string, name: string, picture?: string}} UserPush */
/** @typedef {{type: "reset", room: string, epoch: string, oldest: number, head: number}} ResetPush */
/** @typedef {{type: "me", role: Role, muted_until: string | null}} MePush */
/** @typedef {{type: "place", name: string, welcome: string, accent: string | null}} PlacePush */
/** @typedef {{type: "store", away: boolean}} StorePush */
/** @typedef {EventPush | PresencePush | TypingPush | RoomPush | UserPush | ResetPush | MePush | PlacePush | StorePush} Push */

/** @typedef {"guest" | "member" | "moderator" | "admin" | "owner"} Role from the least to the most */

/**
 * @typedef {object} Place what a visitor is told of the whole place
 * @property {string} name
 * @property {string} welcome
 * @property {string | null} accent
 * @property {"open" | "invite" | "accounts"} join
 * @property {boolean} join_fixed
 * @property {boolean} guests whether a guest may come in without an invite
 * @property {boolean} guests_paused
 * @property {boolean} register whether anyone may make an account with a password, without an invite
 * @property {boolean} passwords
 * @property {{id: string, name: string}[]} providers
 * @property {boolean} mail whether a forgotten password can be mailed
 */

/**
 * @typedef {object} Link what stands behind the token of an owner's link, an invite or a link for a new password
 * @property {"owner" | "invite" | "reset"} kind
 * @property {Role} [role]
 * @property {{name: string}} [room]
 * @property {{name: string}} place
 * @property {{name: string}} [by]
 * @property {{name: string}} [user]
 */

/**
 * @typedef {object} WireError
 * @property {string} code
 * @property {string} message
 * @property {number} [retry_after_ms]
 * @property {string} [room]
 */

/** The numbers a socket is closed with. Those not named here mean: come back, a little later each time. */
export const CLOSE = Object.freeze({
  drain: 1001,
  lost: 1006,
  notAllowed: 1008,
  sessionEnded: 4001,
  tooMany: 4029,
});
