// What the log shows: runs, days, the unread line, messages on their way; and times in words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RoomLog } from "../models/room-log.js";
import { buildRows } from "../models/rows.js";
import { Times } from "../models/times.js";
import { ALICE, BOB, message, page } from "./support.js";

const NOBODY = { ignores: () => false, opened: new Set() };

/**
 * @param {import("../wire.js").RoomEvent[]} events
 * @param {{line?: number | null, unsent?: import("../models/unsent.js").UnsentMessage[], more?: boolean, reachesEnd?: boolean, ignored?: string[], opened?: number[]}} [options]
 */
function rowsOf(events, { line = null, unsent = [], more = true, reachesEnd = true, ignored = [], opened = [] } = {}) {
  const head = events.at(-1)?.seq ?? 0;
  const log = new RoomLog("lobby", page(1, 0, { messages: events, head, more }), { reachesEnd });
  const dayKey = (/** @type {number} */ at) => new Date(at).toISOString().slice(0, 10);
  const ignores = (/** @type {string} */ id) => ignored.includes(id);
  return buildRows({ log, unsent, line, me: ALICE, dayKey, ignores, opened: new Set(opened) });
}

/** @param {import("../models/rows.js").Row[]} rows */
const brief = (rows) =>
  rows.map((row) => {
    if (row.type === "message") return `${row.lead ? "*" : ""}${row.event.seq}`;
    return row.type === "folded" ? `folded ${row.seqs}` : row.type;
  });

test("messages of one author in a row are a run", () => {
  const rows = rowsOf([message(1), message(2), message(3, { author: ALICE }), message(4)]);
  assert.deepEqual(brief(rows), ["day", "*1", "2", "*3", "*4"]);
});

test("a pause of five minutes ends a run", () => {
  const rows = rowsOf([message(1), message(2, { at: "2026-11-20T08:05:01Z" })]);
  assert.deepEqual(brief(rows), ["day", "*1", "*2"]);
});

test("a new day is divided off and ends a run", () => {
  const rows = rowsOf([
    message(1, { at: "2026-11-19T23:59:50Z" }),
    message(2, { at: "2026-11-20T00:00:10Z" }),
  ]);
  assert.deepEqual(brief(rows), ["day", "*1", "day", "*2"]);
});

test("the unread line stands above the first message of someone else after what was read", () => {
  const rows = rowsOf([message(1), message(2, { author: ALICE }), message(3), message(4)], { line: 1 });
  assert.deepEqual(brief(rows), ["day", "*1", "*2", "unread", "*3", "4"]);
});

test("where all that is loaded is unread, the line stands further up, or nowhere for a newcomer", () => {
  assert.deepEqual(brief(rowsOf([message(8), message(9)], { line: 5 })), ["day", "*8", "9"]);
});

test("the beginning shows only where it is loaded", () => {
  assert.deepEqual(brief(rowsOf([message(1)], { more: false })), ["beginning", "day", "*1"]);
});

test("messages on their way stand below, in the run, and keep their key once confirmed", () => {
  /** @type {import("../models/unsent.js").UnsentMessage} */
  const waiting = { txn_id: "t1", room: "lobby", text: "hi", at: Date.parse("2026-11-20T08:00:05Z"), state: "pending" };
  const own = message(1, { author: ALICE, txn_id: "t0" });
  const before = rowsOf([own], { unsent: [waiting] });
  assert.deepEqual(brief(before), ["day", "*1", "2"]);
  assert.equal(before.at(-1)?.key, "txn:t1");
  const after = rowsOf([own, message(2, { author: ALICE, txn_id: "t1" })]);
  assert.equal(after.at(-1)?.key, "txn:t1");
});

test("further up in the log nothing waits at the end", () => {
  /** @type {import("../models/unsent.js").UnsentMessage} */
  const waiting = { txn_id: "t1", room: "lobby", text: "hi", at: Date.parse("2026-11-20T08:00:05Z"), state: "pending" };
  assert.deepEqual(brief(rowsOf([message(1)], { unsent: [waiting], reachesEnd: false })), ["day", "*1"]);
});

test("someone else's txn_id is no key: two people may choose the same", () => {
  const [, bobs, alices] = rowsOf([message(1, { txn_id: "t" }), message(2, { author: ALICE, txn_id: "t" })]);
  assert.equal(bobs?.key, "seq:1");
  assert.equal(alices?.key, "txn:t");
});

test("others' coming is told between messages, one's own is not", () => {
  const log = new RoomLog("lobby", page(1, 1));
  log.apply(message(2, { kind: "member", change: "joined", author: ALICE }));
  log.apply(message(3, { kind: "member", change: "joined", author: BOB }));
  log.apply(message(4));
  const rows = buildRows({ log, unsent: [], line: null, me: ALICE, dayKey: () => "one day", ...NOBODY });
  assert.deepEqual(brief(rows), ["beginning", "day", "*1", "notice", "*4"]);
});

test("one's own acts upon others and the room are told to oneself too", () => {
  const log = new RoomLog("lobby", page(1, 1));
  log.apply(message(2, { kind: "member", change: "added", author: ALICE, user: BOB }));
  log.apply(message(3, { kind: "topic", topic: "soup", author: ALICE }));
  const rows = buildRows({ log, unsent: [], line: null, me: ALICE, dayKey: () => "one day", ...NOBODY });
  assert.deepEqual(brief(rows), ["beginning", "day", "*1", "notice", "notice"]);
});

test("messages of ignored people are one line a run, and what was opened is to be read", () => {
  const events = [message(1), message(2), message(3, { author: ALICE }), message(4), message(5)];
  const ignored = [BOB.id];
  assert.deepEqual(brief(rowsOf(events, { ignored })), ["day", "folded 1,2", "*3", "folded 4,5"]);
  assert.deepEqual(brief(rowsOf(events, { ignored, opened: [1, 2] })), ["day", "*1", "2", "*3", "folded 4,5"]);
});

test("what an ignored person says is no news: the unread line waits for somebody else", () => {
  const carol = { id: "u-carol", name: "carol" };
  const events = [message(1), message(2), message(3, { author: carol })];
  assert.deepEqual(brief(rowsOf(events, { line: 1, ignored: [BOB.id] })), ["day", "folded 1,2", "unread", "*3"]);
});

const times = new Times({ now: () => Date.parse("2026-11-20T09:00:00Z"), locale: "en-GB", timeZone: "Europe/Vienna" });

test("a moment is a day and an hour", () => {
  assert.equal(times.moment(Date.parse("2026-11-20T08:07:00Z")), "Today, 09:07");
  assert.equal(times.moment(Date.parse("2026-11-17T08:07:00Z")), "Tuesday 17 November, 09:07");
});

test("hours are local", () => {
  assert.equal(times.hour(Date.parse("2026-11-20T08:07:00Z")), "09:07");
});

test("where space is short the hour goes without its half of the day", () => {
  const american = new Times({ now: () => 0, locale: "en-US", timeZone: "America/New_York" });
  const at = Date.parse("2026-11-20T22:58:00Z");
  assert.match(american.hour(at), /^5:58\sPM$/);
  assert.equal(american.hourBriefly(at), "5:58");
  assert.equal(times.hourBriefly(at), "23:58");
});

test("a day is local too: midnight in Vienna is an hour earlier by the world's clock", () => {
  assert.equal(times.day(Date.parse("2026-11-19T23:30:00Z")), "Today");
  assert.equal(times.day(Date.parse("2026-11-19T22:30:00Z")), "Yesterday");
});

test("other days have their names, and long ago their year", () => {
  assert.match(times.day(Date.parse("2026-11-16T12:00:00Z")), /^Monday,? 16 November$/);
  assert.equal(times.day(Date.parse("2024-02-01T12:00:00Z")), "1 February 2024");
});

test("the whole time leaves nothing out", () => {
  assert.match(times.full(Date.parse("2026-11-20T08:07:09Z")), /Friday,? 20 November 2026 at 09:07:09/);
});

test("a moment is a day and an hour", () => {
  assert.equal(times.moment(Date.parse("2026-11-20T08:07:09Z")), "Today, 09:07");
});

test("an end is told by the hour, by the day, or not at all", () => {
  assert.equal(times.until("2026-11-20T12:30:00Z"), "until 13:30");
  assert.match(times.until("2026-11-22T12:30:00Z"), /^until Sunday,? 22 November, 13:30$/);
  assert.equal(times.until(null), "until somebody lifts it");
  assert.equal(times.until("9999-12-31T23:59:59Z"), "until somebody lifts it");
});

test("hours follow the reader's habit, words stay English", () => {
  const elsewhere = new Times({ now: () => 0, locale: "de-AT", timeZone: "Europe/Vienna" });
  assert.match(elsewhere.full(Date.parse("2026-11-20T08:07:09Z")), /Friday/);
});
