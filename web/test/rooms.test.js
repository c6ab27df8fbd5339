// The list of rooms, what is unread in each, and the title made of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { countLabel, pageTitle, Rooms } from "../models/rooms.js";
import { ALICE, message, summary } from "./support.js";

function inRooms() {
  const rooms = new Rooms();
  rooms.replace([summary("garden", { name: "Garden" }), summary("lobby", { name: "Lobby", head: 10, unread: 2 })]);
  return rooms;
}

/** @param {Rooms} rooms */
const names = (rooms) => rooms.list.map(({ name }) => name);

test("the lobby comes first, then names in order", () => {
  const rooms = inRooms();
  rooms.update({ type: "room", ...summary("bikes", { name: "Bikes" }) });
  assert.deepEqual(names(rooms), ["Lobby", "Bikes", "Garden"]);
});

test("others' messages are unread, mentions among them; one's own clear the count", () => {
  const rooms = inRooms();
  rooms.arrived(message(11, { mentions: [ALICE.id] }), ALICE.id);
  assert.equal(rooms.get("lobby")?.unread, 3);
  assert.equal(rooms.get("lobby")?.mentions, 1);
  rooms.arrived(message(12, { author: ALICE }), ALICE.id);
  assert.equal(rooms.get("lobby")?.unread, 0);
  assert.equal(rooms.get("lobby")?.read, 12);
});

test("what hello has counted is not counted again when it is caught up on", () => {
  const rooms = inRooms();
  rooms.arrived(message(10), ALICE.id);
  assert.equal(rooms.get("lobby")?.unread, 2);
});

test("only messages are unread", () => {
  const rooms = inRooms();
  rooms.arrived(message(11, { kind: "edit", target: 3 }), ALICE.id);
  assert.equal(rooms.get("lobby")?.unread, 2);
  assert.equal(rooms.get("lobby")?.head, 11);
});

test("counting ends at 99+", () => {
  assert.deepEqual([0, 1, 99, 100, 250].map(countLabel), ["", "1", "99", "99+", "99+"]);
});

test("a visited room is listed while it is open, and stays when joined", () => {
  const rooms = inRooms();
  rooms.visit("bikes", "Bikes");
  assert.deepEqual(names(rooms), ["Lobby", "Bikes", "Garden"]);
  rooms.visit("lobby");
  assert.deepEqual(names(rooms), ["Lobby", "Garden"]);
  rooms.visit("bikes", "Bikes");
  rooms.update({ type: "room", ...summary("bikes", { name: "Bikes" }) });
  rooms.visit("lobby");
  assert.deepEqual(names(rooms), ["Lobby", "Bikes", "Garden"]);
});

test("a room left is gone with the next room opened", () => {
  const rooms = inRooms();
  rooms.update({ type: "room", ...summary("garden"), gone: true });
  assert.equal(rooms.get("garden")?.joined, false);
  rooms.visit("lobby");
  assert.deepEqual(names(rooms), ["Lobby"]);
});

test("the title says where one is and what waits", () => {
  const rooms = inRooms();
  assert.equal(pageTitle(rooms, "garden"), "(2) Garden · Chinwag");
  rooms.markRead("lobby", 10);
  assert.equal(pageTitle(rooms, "garden"), "Garden · Chinwag");
  assert.equal(pageTitle(rooms, null), "Chinwag");
});
