// Who is here, and who is typing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Presence } from "../models/presence.js";
import { Typing, typingSentence } from "../models/typing.js";
import { ALICE, BOB, FakeClock } from "./support.js";

const EVE = { id: "u-eve", name: "eve" };

/** @param {Presence} presence */
const names = (presence) => presence.people.map(({ name }) => name);

test("whole, then changes, in order of names", () => {
  const presence = new Presence();
  presence.apply({ type: "presence", room: "lobby", online: [BOB, ALICE], count: 2 });
  assert.deepEqual(names(presence), ["alice", "bob"]);
  presence.apply({ type: "presence", room: "lobby", joined: [EVE], left: [ALICE.id], count: 2 });
  assert.deepEqual(names(presence), ["bob", "eve"]);
});

test("a change applied twice changes nothing", () => {
  const presence = new Presence();
  for (const _ of [1, 2]) presence.apply({ type: "presence", room: "lobby", joined: [EVE], left: [BOB.id], count: 1 });
  assert.deepEqual(names(presence), ["eve"]);
});

test("whole again replaces what was known", () => {
  const presence = new Presence();
  presence.apply({ type: "presence", room: "lobby", online: [BOB, ALICE], count: 2 });
  presence.apply({ type: "presence", room: "lobby", online: [EVE], count: 1 });
  assert.deepEqual(names(presence), ["eve"]);
});

test("a large room is a number, of which some names may be known", () => {
  const presence = new Presence();
  presence.apply({ type: "presence", room: "lobby", count: 4000 });
  presence.learn([ALICE, BOB]);
  assert.equal(presence.count, 4000);
  assert.equal(presence.unnamed, 3998);
  assert.equal(presence.lastId, BOB.id);
});

test("a new name stands in its new place", () => {
  const presence = new Presence();
  presence.apply({ type: "presence", room: "lobby", online: [ALICE, BOB], count: 2 });
  presence.rename({ id: ALICE.id, name: "zoe" });
  presence.rename({ id: "u-nobody", name: "nobody" });
  assert.deepEqual(names(presence), ["bob", "zoe"]);
});

test("others type, oneself does not", () => {
  const typing = new Typing(new FakeClock(), ALICE.id);
  typing.replace([ALICE, BOB]);
  assert.deepEqual(typing.users, [BOB]);
});

test("who has just written is not typing, until told anew", () => {
  const typing = new Typing(new FakeClock(), ALICE.id);
  typing.replace([BOB]);
  typing.wrote(BOB.id);
  assert.deepEqual(typing.users, []);
  typing.replace([BOB]);
  assert.deepEqual(typing.users, [BOB]);
});

test("a set that is never followed by another fades", async () => {
  const clock = new FakeClock();
  const typing = new Typing(clock, ALICE.id);
  typing.replace([BOB]);
  await clock.pass(12_000);
  assert.deepEqual(typing.users, []);
});

test("the sentence", () => {
  assert.equal(typingSentence([]), "");
  assert.equal(typingSentence(["bob"]), "bob is typing");
  assert.equal(typingSentence(["bob", "eve"]), "bob and eve are typing");
  assert.equal(typingSentence(["bob", "eve", "zoe"]), "bob, eve and zoe are typing");
  assert.equal(typingSentence(["a", "b", "c", "d"]), "4 people are typing");
});
