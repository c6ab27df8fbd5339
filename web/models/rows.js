// What the log shows, from top to bottom: its beginning, days, the unread line, and messages in runs of one author;
// those of people one ignores are folded to one line a run, until it is opened.
// Each row has a key that outlives changes to it, so that the view can tell a new row from a changed one.
// Pure. It must not know the DOM, nor words for people.

/** @typedef {import("../wire.js").RoomEvent} RoomEvent */
/** @typedef {import("./unsent.js").UnsentMessage} UnsentMessage */
/** @typedef {import("./unsent.js").UnsentState} UnsentState */

/**
 * @typedef {object} MessageRow
 * @property {"message"} type
 * @property {string} key
 * @property {RoomEvent} event
 * @property {boolean} lead whether it begins a run and shows its author
 * @property {boolean} own
 * @property {UnsentState | "confirmed"} state
 * @property {string} [reason]
 */

/** @typedef {{type: "beginning", key: string} | {type: "day", key: string, at: number} | {type: "unread", key: string}} Divider */
/** @typedef {{type: "notice", key: string, event: RoomEvent}} NoticeRow */
/** @typedef {{type: "folded", key: string, author: import("../wire.js").Author, seqs: number[]}} FoldedRow */
/** @typedef {Divider | NoticeRow | FoldedRow | MessageRow} Row */

const RUN_BREAKS_MS = 5 * 60_000;

/**
 * @param {object} parts
 * @param {import("./room-log.js").RoomLog} parts.log
 * @param {UnsentMessage[]} parts.unsent
 * @param {number | null} parts.line messages of others after this seq are new
 * @param {import("../wire.js").Author} parts.me
 * @param {(at: number) => string} parts.dayKey
 * @param {(id: string) => boolean} parts.ignores
 * @param {ReadonlySet<number>} parts.opened messages of ignored people that one wants to read all the same
 * @returns {Row[]}
 */
export function buildRows({ log, unsent, line, me, dayKey, ignores, opened }) {
  /** @type {Row[]} */
  const rows = log.reachesStart ? [{ type: "beginning", key: "beginning" }] : [];
  let day = "";
  // With nothing above it that was read, the line would tell nothing: it may stand further up.
  let lineDue = false;
  /** @type {MessageRow | null} */
  let before = null;

  for (const { event, state, reason } of [...confirmed(log, me), ...waiting(log, unsent, me)]) {
    const at = Date.parse(event.at);
    if (dayKey(at) !== day) {
      day = dayKey(at);
      before = null;
      rows.push({ type: "day", key: `day:${day}`, at });
    }
    if (event.kind !== "message") {
      before = null;
      rows.push({ type: "notice", key: `seq:${event.seq}`, event });
      continue;
    }
    const own = event.author.id === me.id;
    const folded = ignores(event.author.id) && !opened.has(event.seq);
    if (line !== null && event.seq <= line) lineDue = true;
    else if (lineDue && !own && !folded) {
      lineDue = false;
      before = null;
      rows.push({ type: "unread", key: "unread" });
    }
    if (folded) {
      before = null;
      fold(rows, event);
      continue;
    }
    const key = own && event.txn_id ? `txn:${event.txn_id}` : `seq:${event.seq}`;
    /** @type {MessageRow} */
    const row = { type: "message", key, event, lead: !continues(before, event), own, state };
    if (reason) row.reason = reason;
    rows.push(row);
    before = row;
  }
  return rows;
}

/**
 * @param {Row[]} rows
 * @param {RoomEvent} event
 */
function fold(rows, { seq, author }) {
  const last = rows.at(-1);
  if (last?.type === "folded" && last.author.id === author.id) last.seqs.push(seq);
  else rows.push({ type: "folded", key: `folded:${seq}`, author, seqs: [seq] });
}

/**
 * @param {import("./room-log.js").RoomLog} log
 * @param {import("../wire.js").Author} me
 * @returns {{event: RoomEvent, state: MessageRow["state"], reason?: string}[]}
 */
function confirmed(log, me) {
  // One's own coming is no news to oneself.
  const isOwnComing = (/** @type {RoomEvent} */ { kind, author, change }) =>
    kind === "member" && author.id === me.id && (change === "joined" || change === "left");
  const shown = log.entries.filter((event) => !isOwnComing(event));
  return shown.map((event) => ({ event, state: "confirmed" }));
}

/**
 * @param {import("./room-log.js").RoomLog} log
 * @param {UnsentMessage[]} unsent
 * @param {import("../wire.js").Author} me
 * @returns {{event: RoomEvent, state: MessageRow["state"], reason?: string}[]}
 */
function waiting(log, unsent, me) {
  if (!log.reachesEnd) return [];
  const after = log.cursor.seq;
  return unsent.map(({ txn_id, text, at, state, reason }, index) => ({
    event: { kind: "message", seq: after + index + 1, at: new Date(at).toISOString(), author: me, txn_id, text },
    state,
    reason,
  }));
}

/**
 * @param {MessageRow | null} before
 * @param {RoomEvent} event
 */
function continues(before, event) {
  if (!before || before.event.author.id !== event.author.id) return false;
  return Date.parse(event.at) - Date.parse(before.event.at) < RUN_BREAKS_MS;
}
