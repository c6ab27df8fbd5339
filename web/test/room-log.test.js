// The window on a room's log: order, no doubles, no holes, changes, and its bounds.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RoomLog, WINDOW } from "../models/room-log.js";
import { ALICE, BOB, message, messages, page } from "./support.js";

/** @param {RoomLog} log */
const seqs = (log) => log.entries.map(({ seq }) => seq);

test("it starts with a page, whose head is the cursor", () => {
  const log = new RoomLog("lobby", page(8, 10, { head: 12 }));
  assert.deepEqual(seqs(log), [8, 9, 10]);
  assert.deepEqual(log.cursor, { epoch: "e1", seq: 12 });
  assert.equal(log.reachesStart, false);
});

test("an event is taken once, in order", () => {
  const log = new RoomLog("lobby", page(1, 3));
  assert.equal(log.apply(message(4)), true);
  assert.equal(log.apply(message(4)), false);
  assert.equal(log.apply(message(2)), false);
  assert.equal(log.apply(message(5)), true);
  assert.deepEqual(seqs(log), [1, 2, 3, 4, 5]);
});

test("an event behind a gap is not taken, and the cursor stays before the gap", () => {
  const log = new RoomLog("lobby", page(1, 3));
  assert.equal(log.apply(message(5)), false);
  assert.equal(log.cursor.seq, 3);
});

test("unknown kinds are passed over, and the cursor moves", () => {
  const log = new RoomLog("lobby", page(1, 3));
  assert.equal(log.apply(message(4, { kind: "weather" })), true);
  assert.equal(log.cursor.seq, 4);
  assert.deepEqual(seqs(log), [1, 2, 3]);
});

test("an edit replaces the text, and says so", () => {
  const log = new RoomLog("lobby", page(1, 3));
  log.apply(message(4, { kind: "edit", target: 2, text: "better", html: "<p>better</p>" }));
  const edited = log.entries[1];
  assert.equal(edited?.html, "<p>better</p>");
  assert.equal(edited?.edited, true);
  assert.equal(edited?.seq, 2);
});

test("a deletion leaves the place and empties it, for good", () => {
  const log = new RoomLog("lobby", page(1, 3));
  log.apply(message(4, { kind: "delete", target: 2 }));
  log.apply(message(5, { kind: "edit", target: 2, text: "back again" }));
  assert.equal(log.entries[1]?.redacted, true);
  assert.equal(log.entries[1]?.text, undefined);
  assert.equal(log.entries[1]?.author.name, "bob");
});

test("a deletion may empty all that one person said, and what is loaded of it later", () => {
  const log = new RoomLog("lobby", page(51, 60));
  log.apply(message(61, { author: ALICE }));
  log.apply(message(62, { kind: "member", change: "joined" }));
  log.apply(message(63, { kind: "delete", author: ALICE, all_of: BOB.id }));
  log.addOlder(page(41, 50, { head: 60 }));
  const empty = log.entries.filter(({ redacted }) => redacted).map(({ seq }) => seq);
  assert.deepEqual(empty, messages(41, 60).map(({ seq }) => seq));
});

test("a change of the room and a coming are entries", () => {
  const log = new RoomLog("lobby", page(1, 1));
  log.apply(message(2, { kind: "topic", topic: "soup" }));
  log.apply(message(3, { kind: "member", change: "joined" }));
  assert.deepEqual(seqs(log), [1, 2, 3]);
});

test("older pages go before, without doubles", () => {
  const log = new RoomLog("lobby", page(51, 60));
  log.addOlder(page(41, 51, { head: 60 }));
  assert.deepEqual(seqs(log), messages(41, 60).map(({ seq }) => seq));
  log.addOlder(page(1, 40, { head: 60 }));
  assert.equal(log.reachesStart, true);
});

test("an older page read before a change that was heard since is changed again", () => {
  const log = new RoomLog("lobby", page(51, 60));
  log.apply(message(61, { kind: "delete", target: 45 }));
  log.addOlder(page(41, 50, { head: 60 }));
  assert.equal(log.entries.find(({ seq }) => seq === 45)?.redacted, true);
});

test("reading on further up gives up the newest, and new events do not make a hole", () => {
  const log = new RoomLog("lobby", page(WINDOW, WINDOW * 2));
  log.addOlder(page(1, WINDOW - 1, { head: WINDOW * 2 }));
  assert.equal(log.entries.length, WINDOW);
  assert.equal(log.reachesEnd, false);
  assert.equal(log.apply(message(WINDOW * 2 + 1)), true);
  assert.equal(log.last, WINDOW);
});

test("coming down again joins the end, and live events go on from there", () => {
  const log = new RoomLog("lobby", page(1, 50, { head: 70 }), { reachesEnd: false });
  log.apply(message(71));
  log.addNewer(page(41, 71), true);
  assert.equal(log.reachesEnd, true);
  log.apply(message(72));
  assert.deepEqual(seqs(log), messages(1, 72).map(({ seq }) => seq));
});

test("a newest page that was read too early does not count as the end", () => {
  const log = new RoomLog("lobby", page(1, 50, { head: 70 }), { reachesEnd: false });
  log.apply(message(71));
  log.addNewer(page(41, 70), true);
  assert.equal(log.reachesEnd, false);
});

test("a page ahead of the events does not show them twice", () => {
  const log = new RoomLog("lobby", page(1, 50, { head: 70 }), { reachesEnd: false });
  log.addNewer(page(41, 72), true);
  log.apply(message(71));
  log.apply(message(72));
  log.apply(message(73));
  assert.deepEqual(seqs(log).slice(-4), [70, 71, 72, 73]);
});

test("following at the end gives up the oldest", () => {
  const log = new RoomLog("lobby", page(1, WINDOW));
  log.apply(message(WINDOW + 1));
  log.dropOldest();
  assert.equal(log.entries.length, WINDOW);
  assert.equal(log.first, 2);
  assert.equal(log.reachesStart, false);
});
