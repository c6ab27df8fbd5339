// The unread line and the read marker.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Reading } from "../models/reading.js";
import { Rooms } from "../models/rooms.js";
import { ALICE, FakeClock, message, summary } from "./support.js";

/** @param {Partial<import("../wire.js").RoomSummary>} fields */
function inLobby(fields) {
  const clock = new FakeClock();
  const rooms = new Rooms();
  rooms.replace([summary("lobby", fields)]);
  /** @type {number[]} */
  const told = [];
  const reading = new Reading({ rooms, clock, me: ALICE.id, tell: (_room, seq) => told.push(seq) });
  reading.enter("lobby");
  /** @param {number} seq @param {object} [more] */
  const hear = (seq, more) => {
    const event = message(seq, more);
    reading.heard(event);
    rooms.arrived(event, ALICE.id);
    reading.keepUp(seq);
  };
  return { clock, rooms, reading, told, hear };
}

test("entering a room with something unread draws the line after what was read", () => {
  assert.equal(inLobby({ head: 10, read: 7, unread: 3 }).reading.line, 7);
  assert.equal(inLobby({ head: 10, read: 10 }).reading.line, null);
});

test("seeing the newest moves the marker and leaves the line", () => {
  const { rooms, reading, told } = inLobby({ head: 10, read: 7, unread: 3 });
  reading.look(true, 10);
  assert.deepEqual(told, [10]);
  assert.equal(rooms.get("lobby")?.unread, 0);
  assert.equal(reading.line, 7);
});

test("the marker is told at most once a second, the newest at last", async () => {
  const { clock, reading, told } = inLobby({ head: 10, read: 7, unread: 3 });
  for (const seq of [10, 11, 12]) reading.look(true, seq);
  assert.deepEqual(told, [10]);
  await clock.pass(1000);
  assert.deepEqual(told, [10, 12]);
});

test("not looking, the first new message draws the line, the next ones do not move it", () => {
  const { reading, hear } = inLobby({ head: 10, read: 10 });
  reading.look(false, 10);
  hear(11);
  hear(12);
  assert.equal(reading.line, 10);
});

test("looking, messages are seen as they come, without a line", () => {
  const { reading, rooms, told, hear } = inLobby({ head: 10, read: 10 });
  reading.look(true, 10);
  hear(11);
  assert.equal(reading.line, null);
  assert.equal(rooms.get("lobby")?.unread, 0);
  assert.deepEqual(told, [11]);
});

test("writing oneself wipes the line away", () => {
  const { reading, hear } = inLobby({ head: 10, read: 7, unread: 3 });
  hear(11, { author: ALICE });
  assert.equal(reading.line, null);
});

test("leaving the room tells what is still to be told", () => {
  const { reading, told } = inLobby({ head: 10, read: 7, unread: 3 });
  reading.look(true, 10);
  reading.look(true, 11);
  reading.enter("garden");
  assert.deepEqual(told, [10, 11]);
});

test("what was seen without a connection is told again with the next", () => {
  const { rooms, reading, told } = inLobby({ head: 10, read: 7, unread: 3 });
  reading.look(true, 10);
  rooms.replace([summary("lobby", { head: 10, read: 7, unread: 3 })]);
  reading.reconnected();
  assert.deepEqual(told, [10, 10]);
  assert.equal(rooms.get("lobby")?.unread, 0);
});
