// Following a room: history, then the subscription that continues it; resume, reset, paging.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../models/connection.js";
import { Follower } from "../models/follower.js";
import { FakeClock, FakeSocket, message, page, settled } from "./support.js";

const SUBSCRIBED = { epoch: "e1", seq: 60, head: 60, oldest: 1 };

function setUp() {
  const clock = new FakeClock();
  /** @type {FakeSocket[]} */
  const sockets = [];
  const dial = () => {
    sockets.push(new FakeSocket());
    return socket();
  };
  const socket = () => /** @type {FakeSocket} */ (sockets.at(-1));
  const connection = new Connection({ dial, clock, random: () => 1 });
  const follower = new Follower(connection);
  connection.addEventListener("hello", () => follower.resume());
  connection.start();
  socket().greets();
  return { clock, connection, follower, socket };
}

async function inLobby() {
  const world = setUp();
  world.follower.open("lobby");
  await world.socket().replies("history", page(11, 60));
  await world.socket().replies("subscribe", SUBSCRIBED);
  return world;
}

test("a room is opened by a page and the subscription from its head", async () => {
  const { follower, socket } = setUp();
  follower.open("lobby");
  await socket().replies("history", page(11, 60));
  assert.deepEqual(socket().last("subscribe").cursor, { epoch: "e1", seq: 60 });
  assert.equal(follower.log?.last, 60);
});

test("events of the room are taken and told, others are not", async () => {
  const { follower } = await inLobby();
  /** @type {number[]} */
  const told = [];
  follower.addEventListener("event", (event) => told.push(/** @type {CustomEvent} */ (event).detail.seq));
  follower.heard(message(61));
  follower.heard(message(61));
  follower.heard(message(61, { room: "garden" }));
  assert.deepEqual(told, [61]);
});

test("after a lost connection it resumes from its cursor, without a page", async () => {
  const { clock, follower, socket } = await inLobby();
  follower.heard(message(61));
  socket().closes(1006);
  await clock.pass(500);
  socket().greets();
  assert.deepEqual(socket().last("subscribe").cursor, { epoch: "e1", seq: 61 });
  assert.equal(socket().count("history"), 0);
});

test("a refused cursor means a fresh page, and it is said", async () => {
  const { clock, follower, socket } = await inLobby();
  let resets = 0;
  follower.addEventListener("reset", () => resets++);
  socket().closes(1006);
  await clock.pass(500);
  socket().greets();
  await socket().refuses("subscribe", { code: "reset", message: "another epoch" });
  await socket().replies("history", page(1, 5, { epoch: "e2" }));
  assert.deepEqual(socket().last("subscribe").cursor, { epoch: "e2", seq: 5 });
  assert.equal(resets, 1);
  assert.equal(follower.log?.last, 5);
});

test("a live reset does the same", async () => {
  const { follower, socket } = await inLobby();
  follower.wasReset("lobby");
  await socket().replies("history", page(1, 5, { epoch: "e2" }));
  assert.equal(follower.log?.epoch, "e2");
});

test("a connection lost while opening leaves it to the next hello", async () => {
  const { clock, follower, socket } = setUp();
  follower.open("lobby", { around: 30 });
  socket().closes(1006);
  await clock.pass(500);
  socket().greets();
  assert.equal(socket().last("history").around, 30);
});

test("the room chosen last is shown, whichever page comes first", async () => {
  const { follower, socket } = setUp();
  follower.open("lobby");
  const slow = socket().last("history").ref;
  follower.open("garden");
  await socket().replies("history", page(1, 2));
  socket().says({ type: "reply", ref: slow, ok: page(11, 60) });
  await settled();
  assert.equal(follower.log?.room, "garden");
  assert.equal(follower.log?.last, 2);
});

test("coming back to a room left lately is a resume", async () => {
  const { follower, socket } = await inLobby();
  follower.open("garden");
  await socket().replies("history", page(1, 2));
  await socket().replies("subscribe", SUBSCRIBED);
  assert.equal(socket().last("unsubscribe").room, "lobby");
  follower.open("lobby", { head: 70 });
  assert.equal(follower.log?.last, 60);
  assert.equal(socket().count("history"), 2);
  assert.deepEqual(socket().last("subscribe").cursor, { epoch: "e1", seq: 60 });
});

test("coming back after very much was said is a fresh page", async () => {
  const { follower, socket } = await inLobby();
  follower.open("garden");
  await socket().replies("history", page(1, 2));
  follower.open("lobby", { head: 5000 });
  assert.equal(follower.log, null);
  assert.equal(socket().last("history").room, "lobby");
});

test("a room that cannot be shown says why", async () => {
  const { follower, socket } = setUp();
  follower.open("nowhere");
  await socket().refuses("history", { code: "no_room", message: "there is no such room" });
  assert.equal(follower.problem?.code, "no_room");
});

test("older pages are asked for one at a time", async () => {
  const { follower, socket } = await inLobby();
  follower.loadOlder();
  follower.loadOlder();
  assert.equal(socket().count("history"), 2);
  assert.equal(socket().last("history").before, 11);
  await socket().replies("history", page(1, 10, { head: 60 }));
  assert.equal(follower.log?.first, 1);
  follower.loadOlder();
  assert.equal(socket().count("history"), 2);
});

test("from a permalink one reads on to the end, page by page, without a hole", async () => {
  const { follower, socket } = setUp();
  follower.open("lobby", { around: 30 });
  await socket().replies("history", page(5, 54, { head: 200 }));
  await socket().replies("subscribe", SUBSCRIBED);
  assert.equal(follower.log?.reachesEnd, false);
  follower.loadNewer();
  assert.equal(socket().last("history").before, 105);
  await socket().replies("history", page(55, 104, { head: 200 }));
  assert.equal(follower.log?.last, 104);
  follower.loadNewer();
  await socket().replies("history", page(105, 154, { head: 200 }));
  follower.loadNewer();
  assert.equal(socket().last("history").before, undefined);
  await socket().replies("history", page(151, 200));
  assert.equal(follower.log?.reachesEnd, true);
  assert.equal(follower.log?.entries.length, 196);
});

test("jumping to the end takes a fresh page and subscribes from it", async () => {
  const { follower, socket } = setUp();
  follower.open("lobby", { around: 30 });
  await socket().replies("history", page(5, 54, { head: 200 }));
  await socket().replies("subscribe", SUBSCRIBED);
  follower.jumpToEnd();
  await socket().replies("history", page(151, 200));
  assert.equal(follower.log?.reachesEnd, true);
  assert.deepEqual(socket().last("subscribe").cursor, { epoch: "e1", seq: 200 });
});

test("a gap is filled by subscribing again from the cursor", async () => {
  const { follower, socket } = await inLobby();
  follower.heard(message(63));
  follower.heard(message(64));
  assert.equal(socket().count("subscribe"), 2);
  assert.deepEqual(socket().last("subscribe").cursor, { epoch: "e1", seq: 60 });
});
