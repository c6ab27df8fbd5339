// Which ways in a place offers, with a link in the hand and without, and how it says so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { linkOf } from "../models/address.js";
import { inviteWords, leadOf, providerAddress, providerProblem, waysIn } from "../models/door.js";

/** @type {import("../wire.js").Place} */
const OPEN = {
  name: "Allotment",
  welcome: "",
  accent: null,
  join: "open",
  join_fixed: false,
  guests: true,
  guests_paused: false,
  register: true,
  passwords: true,
  providers: [],
  mail: false,
};
/** @type {import("../wire.js").Place} */
const BY_INVITE = { ...OPEN, join: "invite", guests: false, register: false };
/** @type {import("../wire.js").Place} */
const BY_PROVIDER = { ...BY_INVITE, passwords: false, providers: [{ id: "google", name: "Google" }] };

/** @param {Partial<import("../wire.js").Link>} [fields] @returns {import("../wire.js").Link} */
const invite = (fields = {}) => ({ kind: "invite", role: "member", place: { name: "Allotment" }, ...fields });
/** @type {import("../wire.js").Link} */
const OWNER = { kind: "owner", role: "owner", place: { name: "Allotment" } };

test("an open place takes guests first", () => {
  assert.deepEqual(waysIn(OPEN), ["guest", "sign-in", "register"]);
});

test("a place for those invited lets only those in whom it knows", () => {
  assert.deepEqual(waysIn(BY_INVITE), ["sign-in"]);
});

test("a place without passwords has no form at all", () => {
  assert.deepEqual(waysIn(BY_PROVIDER), []);
  assert.deepEqual(waysIn(BY_PROVIDER, invite()), []);
});

test("an invite opens what is closed without it, as its role allows", () => {
  assert.deepEqual(waysIn(BY_INVITE, invite()), ["register", "sign-in"]);
  assert.deepEqual(waysIn(BY_INVITE, invite({ role: "guest" })), ["guest", "sign-in"]);
  assert.deepEqual(waysIn(OPEN, invite({ role: "guest" })), ["guest", "sign-in", "register"]);
});

test("whoever is to be more than a guest does not come in as one", () => {
  assert.ok(!waysIn(OPEN, invite({ role: "moderator" })).includes("guest"));
  assert.deepEqual(waysIn(OPEN, OWNER), ["register", "sign-in"]);
});

test("the words over the door", () => {
  assert.match(leadOf("guest", OPEN), /What shall we call you/);
  assert.match(leadOf("sign-in", BY_INVITE), /need an invite/);
  assert.match(leadOf("sign-in", { ...OPEN, guests: false, guests_paused: true }), /not let in just now/);
  assert.match(leadOf("register", OPEN, OWNER), /about to own this place/);
  assert.match(leadOf("register", OPEN, invite()), /^You are invited to Allotment\.$/);
});

test("an invite says who invites, to what, and as what", () => {
  const pond = { by: { name: "alice" }, room: { name: "Pond" } };
  assert.equal(inviteWords(invite(pond)), "alice invites you to Pond at Allotment.");
  assert.equal(inviteWords(invite({ role: "admin" })), "You are invited to Allotment, as an admin.");
});

test("the way by a provider leads back to where one wanted to go, and takes the invite along", () => {
  assert.equal(providerAddress("google", "/r/pond"), "/auth/google?next=%2Fr%2Fpond");
  assert.equal(providerAddress("a/b", "/", "t0ken"), "/auth/a%2Fb?next=%2F&invite=t0ken");
});

test("every problem at a provider has words, an unknown one too", () => {
  const words = ["denied", "state", "provider", "not_allowed", "banned", "constructor"].map(providerProblem);
  assert.equal(new Set(words).size, words.length);
  assert.match(words.at(-1) ?? "", /did not work/);
});

test("a link to come in by is known by its address", () => {
  assert.equal(linkOf("/join", "#t0ken"), "t0ken");
  assert.equal(linkOf("/join", "#"), null);
  assert.equal(linkOf("/join", ""), null);
  assert.equal(linkOf("/r/join", "#t0ken"), null);
});
