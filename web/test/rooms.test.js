// The list of rooms, what is unread in each, and the title made of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { countLabel, inWords, pageTitle, Rooms } from "../models/rooms.js";
import { ALICE, BOB, message, summary } from "./support.js";

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

const CAROL = { id: "u-carol", name: "carol" };

test("conversations are called by the others in them, stand below the rooms, and follow a new name", () => {
  const rooms = inRooms();
  rooms.update({ type: "room", ...summary("d1", { kind: "direct", name: undefined, with: [BOB, CAROL] }) });
  rooms.update({ type: "room", ...summary("d2", { kind: "direct", name: undefined, with: [BOB] }) });
  assert.deepEqual(names(rooms), ["Lobby", "Garden", "bob", "bob and carol"]);
  const bob = rooms.get("d2");
  assert.equal(bob && inWords(bob), "your conversation with bob");
  rooms.rename({ id: BOB.id, name: "zoe" });
  assert.deepEqual(names(rooms), ["Lobby", "Garden", "zoe", "zoe and carol"]);
  rooms.update({ type: "room", ...summary("d2", { kind: "direct", name: undefined, with: [] }) });
  assert.equal(rooms.get("d2")?.name, "Only you");
});

test("what was learned of a room outlives the next push and the next hello", () => {
  const rooms = inRooms();
  const garden = { room: "garden", name: "Garden", kind: /** @type {const} */ ("private"), topic: "beans", announcement: false, archived: false };
  rooms.learn({ ...garden, slow_seconds: 30, guests: true, role: "owner", members: 2 });
  rooms.update({ type: "room", ...summary("garden", { name: "Garden", kind: "private", role: "owner", topic: "beans" }) });
  rooms.replace([summary("lobby"), summary("garden", { name: "Garden", kind: "private", role: "owner", topic: "peas" })]);
  const known = rooms.get("garden");
  assert.deepEqual([known?.kind, known?.role, known?.topic, known?.slow_seconds], ["private", "owner", "peas", 30]);
  rooms.learn({ ...garden, room: "elsewhere", slow_seconds: 0, guests: false, role: null, members: 0 });
  assert.equal(rooms.get("elsewhere"), undefined);
});

test("events change what the open room is called, is about, who sees it, and one's own role in it", () => {
  const rooms = inRooms();
  rooms.arrived(message(1, { room: "garden", kind: "topic", topic: "beans", name: "Beds" }), ALICE.id);
  rooms.arrived(message(2, { room: "garden", kind: "member", change: "private" }), ALICE.id);
  rooms.arrived(message(3, { room: "garden", kind: "member", change: "role", user: ALICE, role: "moderator" }), ALICE.id);
  rooms.arrived(message(4, { room: "garden", kind: "member", change: "role", user: BOB, role: "owner" }), ALICE.id);
  rooms.arrived(message(5, { room: "garden", kind: "topic", announcement: true }), ALICE.id);
  const garden = rooms.get("garden");
  assert.deepEqual([garden?.name, garden?.topic, garden?.kind, garden?.role], ["Beds", "beans", "private", "moderator"]);
  assert.deepEqual([garden?.announcement, garden?.archived], [true, false]);
});

test("the title says where one is and what waits", () => {
  const rooms = inRooms();
  assert.equal(pageTitle(rooms, "garden", "Chinwag"), "(2) Garden · Chinwag");
  rooms.markRead("lobby", 10);
  assert.equal(pageTitle(rooms, "garden", "Chinwag"), "Garden · Chinwag");
  assert.equal(pageTitle(rooms, null, "Chinwag"), "Chinwag");
});
