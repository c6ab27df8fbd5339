// The models together: what one writes is in the log exactly once, whatever the connection does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Chat } from "../models/chat.js";
import { Connection } from "../models/connection.js";
import { ALICE, BOB, FakeClock, FakeSocket, memoryStorage, message, page, summary } from "./support.js";

const SUBSCRIBED = { epoch: "e1", seq: 0, head: 0, oldest: 1 };

function setUp(storage = memoryStorage()) {
  const clock = new FakeClock();
  /** @type {FakeSocket[]} */
  const sockets = [];
  const dial = () => {
    sockets.push(new FakeSocket());
    return socket();
  };
  const socket = () => /** @type {FakeSocket} */ (sockets.at(-1));
  const connection = new Connection({ dial, clock, random: () => 1 });
  const chat = new Chat({ user: ALICE, connection, storage, clock });
  chat.open("lobby");
  connection.start();
  return { chat, clock, socket, storage };
}

async function inLobby(storage = memoryStorage()) {
  const world = setUp(storage);
  world.socket().greets();
  await world.socket().replies("history", page(1, 0));
  await world.socket().replies("subscribe", SUBSCRIBED);
  return world;
}

/** @param {Chat} chat */
const states = (chat) => chat.unsent.of("lobby").map(({ text, state }) => `${text} ${state}`);

/** @param {Chat} chat */
const texts = (chat) => chat.follower.log?.entries.map(({ text }) => text);

test("one's message is pending, then acknowledged, then in the log", async () => {
  const { chat, socket } = await inLobby();
  chat.post("hello");
  assert.deepEqual(states(chat), ["hello pending"]);
  const { txn_id } = socket().last("post");
  await socket().replies("post", { room: "lobby", seq: 1 });
  assert.deepEqual(states(chat), ["hello sent"]);
  socket().says(message(1, { author: ALICE, txn_id, text: "hello" }));
  assert.deepEqual(states(chat), []);
  assert.deepEqual(texts(chat), ["hello"]);
});

test("its event may come before its acknowledgement", async () => {
  const { chat, socket } = await inLobby();
  chat.post("hello");
  const { txn_id } = socket().last("post");
  socket().says(message(1, { author: ALICE, txn_id, text: "hello" }));
  await socket().replies("post", { room: "lobby", seq: 1 });
  assert.deepEqual(states(chat), []);
  assert.deepEqual(texts(chat), ["hello"]);
});

test("someone else's txn_id confirms nothing", async () => {
  const { chat, socket } = await inLobby();
  chat.post("hello");
  const { txn_id } = socket().last("post");
  socket().says(message(1, { author: BOB, txn_id, text: "mine" }));
  assert.deepEqual(states(chat), ["hello pending"]);
});

test("messages of a room go one after the other, so that they arrive in order", async () => {
  const { chat, socket } = await inLobby();
  chat.post("one");
  chat.post("two");
  assert.equal(socket().count("post"), 1);
  await socket().replies("post", { room: "lobby", seq: 1 });
  assert.equal(socket().last("post").text, "two");
});

test("what was written without a connection goes with the next one", async () => {
  const { chat, clock, socket } = await inLobby();
  socket().closes(1006);
  chat.post("hello");
  assert.deepEqual(states(chat), ["hello pending"]);
  await clock.pass(500);
  socket().greets();
  assert.equal(socket().last("post").text, "hello");
});

test("a message whose reply was lost is sent again with the same txn_id", async () => {
  const { chat, clock, socket } = await inLobby();
  chat.post("hello");
  const { txn_id } = socket().last("post");
  socket().closes(1006);
  await clock.pass(500);
  socket().greets();
  assert.equal(socket().last("post").txn_id, txn_id);
});

test("after a reload it goes too, and a page that holds it already confirms it", async () => {
  const storage = memoryStorage();
  const before = await inLobby(storage);
  before.chat.post("hello");
  const { txn_id } = before.socket().last("post");

  const { chat, socket } = setUp(storage);
  socket().greets();
  assert.equal(socket().last("post").txn_id, txn_id);
  const own = message(1, { author: ALICE, txn_id, text: "hello" });
  await socket().replies("history", page(1, 1, { messages: [own] }));
  assert.deepEqual(states(chat), []);
  assert.deepEqual(texts(chat), ["hello"]);
});

test("refused for good, it has failed, and trying again uses the same txn_id", async () => {
  const { chat, socket } = await inLobby();
  chat.post("hello");
  const { txn_id } = socket().last("post");
  await socket().refuses("post", { code: "not_allowed", message: "not here" });
  assert.deepEqual(states(chat), ["hello failed"]);
  chat.retry(txn_id);
  assert.equal(socket().count("post"), 2);
  assert.equal(socket().last("post").txn_id, txn_id);
});

test("too fast, it waits as long as it is told", async () => {
  const { chat, clock, socket } = await inLobby();
  chat.post("hello");
  await socket().refuses("post", { code: "rate_limited", message: "slow down", retry_after_ms: 1200 });
  assert.deepEqual(states(chat), ["hello pending"]);
  await clock.pass(1199);
  assert.equal(socket().count("post"), 1);
  await clock.pass(1);
  assert.equal(socket().count("post"), 2);
});

test("of an unknown outcome it asks again until it knows", async () => {
  const { chat, clock, socket } = await inLobby();
  chat.post("hello");
  const { txn_id } = socket().last("post");
  await socket().refuses("post", { code: "unknown_outcome", message: "who knows" });
  await clock.pass(1000);
  assert.equal(socket().last("post").txn_id, txn_id);
});

test("what the server cannot store for the moment is kept, and sent again with the same txn_id", async () => {
  const { chat, clock, socket } = await inLobby();
  /** @type {boolean[]} */
  const told = [];
  chat.addEventListener("away", () => told.push(chat.away));
  socket().says({ type: "store", away: true });
  chat.post("hello");
  const { txn_id } = socket().last("post");
  await socket().refuses("post", { code: "unavailable", message: "Redis cannot be reached" });
  assert.deepEqual(states(chat), ["hello pending"]);
  socket().says({ type: "store", away: false });
  await clock.pass(1000);
  assert.equal(socket().count("post"), 2);
  assert.equal(socket().last("post").txn_id, txn_id);
  assert.deepEqual(told, [true, false]);
});

test("typing is told at most every three seconds, and anew after a message", async () => {
  const { chat, clock, socket } = await inLobby();
  chat.typed();
  chat.typed();
  assert.equal(socket().count("typing"), 1);
  await clock.pass(3000);
  chat.typed();
  assert.equal(socket().count("typing"), 2);
  chat.post("hello");
  chat.typed();
  assert.equal(socket().count("typing"), 3);
});

test("a hello for someone else is no greeting", () => {
  const { chat, socket } = setUp();
  let strangers = 0;
  chat.addEventListener("stranger", () => strangers++);
  socket().greets({ user: BOB });
  assert.equal(strangers, 1);
});

test("a room's push changes its counts, but not what was seen here a moment ago", async () => {
  const { chat, socket } = await inLobby();
  socket().says(message(1));
  chat.reading.look(true, 1);
  socket().says({ type: "room", ...summary("lobby", { head: 1, read: 0, unread: 1 }) });
  assert.equal(chat.rooms.get("lobby")?.unread, 0);
  socket().says({ type: "room", ...summary("garden", { head: 4, unread: 3 }) });
  assert.equal(chat.rooms.get("garden")?.unread, 3);
});

test("a rename shows everywhere", async () => {
  const { chat, socket } = await inLobby();
  socket().says({ type: "user", id: ALICE.id, name: "alicia" });
  assert.equal(chat.user.name, "alicia");
  assert.equal(chat.names.nameOf(ALICE), "alicia");
  assert.notEqual(chat.names.pictureOf(ALICE.id), chat.names.pictureOf("other"));
});

test("a push about oneself changes role and mute, one about the place its name", async () => {
  const { chat, socket } = await inLobby();
  socket().says({ type: "me", role: "moderator", muted_until: "2026-11-20T10:00:00Z" });
  assert.deepEqual([chat.me.role, chat.me.mutedUntil], ["moderator", "2026-11-20T10:00:00Z"]);
  socket().says({ type: "place", name: "Kitchen table", welcome: "", accent: "#7a3cff" });
  assert.deepEqual([chat.place.name, chat.place.accent], ["Kitchen table", "#7a3cff"]);
});

/** @param {Chat} chat */
function losses(chat) {
  /** @type {string[]} */
  const names = [];
  chat.addEventListener("lost", (event) => names.push(/** @type {CustomEvent} */ (event).detail.name));
  return names;
}

test("a right that ended takes a private room off the list, and what was read of it; open, it is told", async () => {
  const { chat, socket } = await inLobby();
  const lost = losses(chat);
  const secret = summary("s1", { name: "Secret", kind: "private", role: "member" });
  socket().says({ type: "room", ...secret });
  chat.open("s1");
  await socket().replies("history", page(1, 3));
  await socket().replies("subscribe", SUBSCRIBED);
  socket().says({ type: "room", ...secret, gone: true });
  assert.deepEqual(lost, ["Secret"]);
  assert.equal(chat.rooms.get("s1"), undefined);
  assert.equal(chat.follower.log, null);
});

test("one that is not open goes without a word", async () => {
  const { chat, socket } = await inLobby();
  const lost = losses(chat);
  const secret = summary("s1", { name: "Secret", kind: "private", role: "member" });
  socket().says({ type: "room", ...secret });
  socket().says({ type: "room", ...secret, gone: true });
  assert.deepEqual(lost, []);
  assert.equal(chat.rooms.get("s1"), undefined);
});

test("who has left a public room may read on, unless it is there no more", async () => {
  const { chat, socket } = await inLobby();
  const lost = losses(chat);
  const garden = summary("garden", { name: "Garden", kind: "public", role: "member" });
  socket().says({ type: "room", ...garden });
  chat.open("garden");
  await socket().replies("history", page(1, 3));
  await socket().replies("subscribe", SUBSCRIBED);
  socket().says({ type: "room", ...garden, gone: true });
  await socket().replies("subscribe", SUBSCRIBED);
  assert.deepEqual(lost, []);
  socket().says({ type: "reset", room: "garden", epoch: "e1", oldest: 1, head: 3 });
  await socket().refuses("history", { code: "no_room", message: "no such room" });
  assert.deepEqual(lost, ["Garden"]);
  assert.equal(chat.rooms.get("garden"), undefined);
});

test("slow mode has a message wait like any other haste", async () => {
  const { chat, clock, socket } = await inLobby();
  chat.post("hello");
  await socket().refuses("post", { code: "slow_mode", message: "slowly", retry_after_ms: 5000 });
  assert.deepEqual(states(chat), ["hello pending"]);
  await clock.pass(5000);
  assert.equal(socket().count("post"), 2);
});

test("a new picture is asked for at its new address, a picture without one anew all the same", async () => {
  const { chat, socket } = await inLobby();
  assert.equal(chat.names.pictureOf(BOB.id), "/avatars/u-bob");
  socket().says({ type: "user", ...BOB, picture: "/avatars/u-bob?v=7" });
  assert.equal(chat.names.pictureOf(BOB.id), "/avatars/u-bob?v=7");
  const drawn = ["bobby", "rob"].map((name) => {
    socket().says({ type: "user", id: BOB.id, name, picture: "/avatars/u-bob" });
    return chat.names.pictureOf(BOB.id);
  });
  assert.equal(new Set(drawn).size, 2);
});

test("whoever is muted is told why nothing is sent", async () => {
  const { chat, socket } = await inLobby();
  chat.post("hello");
  await socket().refuses("post", { code: "muted", message: "you are muted" });
  assert.match(chat.unsent.of("lobby")[0]?.reason ?? "", /a moderator has muted you/);
});

test("in a large room names are learned page by page", async () => {
  const { chat, socket } = await inLobby();
  socket().says({ type: "presence", room: "lobby", count: 300 });
  assert.equal(chat.presence.unnamed, 300);
  const asked = chat.learnNames();
  assert.equal(socket().last("present").after, null);
  await socket().replies("present", { users: [ALICE, BOB], count: 300, more: true });
  await asked;
  assert.equal(chat.presence.unnamed, 298);
  chat.learnNames();
  assert.equal(socket().last("present").after, BOB.id);
});
