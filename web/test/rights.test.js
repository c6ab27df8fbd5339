// Who may do what in the place and in a room, and whether one may write just now.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Me } from "../models/me.js";
import { isInRoomAtLeast, mayDelete, mayManage, mayModerate, mayRemove, roleIn, rolesToGive, rolesToInvite } from "../models/roles.js";
import { RoomLog } from "../models/room-log.js";
import { slowFor, whyClosed } from "../models/writing.js";
import { ALICE, BOB, message, page } from "./support.js";

/** @typedef {import("../wire.js").Role} Role */
/** @typedef {import("../wire.js").RoomRole} RoomRole */

/** @param {Role} role */
const as = (role) => ({ id: ALICE.id, role });

/**
 * @param {import("../wire.js").RoomKind} kind
 * @param {RoomRole | null} role
 */
const room = (kind, role) => ({ kind, role });

test("moderators act on those below them, not on their like nor on themselves", () => {
  assert.equal(mayModerate(as("moderator"), { id: BOB.id, role: "member" }), true);
  assert.equal(mayModerate(as("moderator"), { id: BOB.id, role: "guest" }), true);
  assert.equal(mayModerate(as("moderator"), { id: BOB.id, role: "moderator" }), false);
  assert.equal(mayModerate(as("member"), { id: BOB.id, role: "guest" }), false);
  assert.equal(mayModerate(as("owner"), as("member")), false);
  assert.equal(mayManage(as("moderator"), { id: BOB.id, role: "member" }), false);
  assert.equal(mayManage(as("admin"), { id: BOB.id, role: "moderator" }), true);
});

test("a role is given only below one's own, but an owner may make owners", () => {
  assert.deepEqual(rolesToGive("admin"), ["member", "moderator"]);
  assert.deepEqual(rolesToGive("owner"), ["member", "moderator", "admin", "owner"]);
  assert.deepEqual(rolesToGive("moderator"), []);
  assert.deepEqual(rolesToInvite("admin"), ["guest", "member", "moderator"]);
  assert.deepEqual(rolesToInvite("member"), ["guest", "member"]);
});

test("in a public room the place's staff ranks, in a private one its members do", () => {
  assert.equal(roleIn(room("public", null), as("admin")), "owner");
  assert.equal(roleIn(room("public", "member"), as("moderator")), "moderator");
  assert.equal(roleIn(room("public", "owner"), as("moderator")), "owner");
  assert.equal(roleIn(room("private", "member"), as("owner")), "member");
  assert.equal(isInRoomAtLeast(room("private", null), as("owner"), "member"), false);
});

test("members are removed by those above them, and by owners", () => {
  assert.equal(mayRemove(room("private", "moderator"), as("member"), "member"), true);
  assert.equal(mayRemove(room("private", "moderator"), as("member"), "moderator"), false);
  assert.equal(mayRemove(room("private", "owner"), as("member"), "owner"), true);
  assert.equal(mayRemove(room("private", "member"), as("owner"), "member"), false);
  assert.equal(mayRemove(room("direct", "owner"), as("member"), "member"), false);
});

test("messages are deleted by their author and by moderators of the room or the place", () => {
  assert.equal(mayDelete(room("public", "member"), as("member"), message(1, { author: ALICE })), true);
  assert.equal(mayDelete(room("public", "member"), as("member"), message(1)), false);
  assert.equal(mayDelete(room("private", "moderator"), as("member"), message(1)), true);
  assert.equal(mayDelete(room("private", "member"), as("moderator"), message(1)), true);
});

const NOW = Date.parse("2026-11-20T09:00:00Z");
const OPEN = { kind: /** @type {const} */ ("public"), role: /** @type {const} */ ("member"), archived: false, announcement: false };

test("writing is closed in an archived room, in announcements, and to who is muted", () => {
  const me = new Me({ ...ALICE, role: "member" });
  assert.equal(whyClosed(OPEN, me, NOW), null);
  assert.equal(whyClosed({ ...OPEN, archived: true }, me, NOW), "archived");
  assert.equal(whyClosed({ ...OPEN, announcement: true }, me, NOW), "announcement");
  assert.equal(whyClosed({ ...OPEN, announcement: true, role: "moderator" }, me, NOW), null);
  me.apply({ type: "me", role: "member", muted_until: "2026-11-20T09:10:00Z" });
  assert.equal(whyClosed(OPEN, me, NOW), "muted");
  assert.equal(whyClosed(OPEN, me, NOW + 600_000), null);
});

test("in slow mode one waits after one's own message, sent or on its way; moderators do not", () => {
  const me = new Me({ ...ALICE, role: "member" });
  const own = message(1, { author: ALICE, at: "2026-11-20T08:59:50Z" });
  const log = new RoomLog("lobby", page(1, 2, { messages: [own, message(2)] }));
  const slow = { ...OPEN, slow_seconds: 30 };
  const wait = (parts = {}) => slowFor({ room: slow, me, log, unsent: [], now: NOW, ...parts });
  assert.equal(wait(), 20_000);
  assert.equal(wait({ now: NOW + 20_000 }), 0);
  assert.equal(wait({ room: { ...slow, slow_seconds: 0 } }), 0);
  assert.equal(wait({ room: { ...slow, role: "moderator" } }), 0);
  const unsent = { txn_id: "t", room: "lobby", text: "hi", at: NOW - 1_000, state: "pending" };
  assert.equal(wait({ unsent: [unsent] }), 29_000);
  assert.equal(wait({ unsent: [{ ...unsent, state: "failed" }] }), 20_000);
});

test("a clock that is behind the server's makes nobody wait longer than the room has it", () => {
  const me = new Me({ ...ALICE, role: "member" });
  const own = message(1, { author: ALICE, at: "2026-11-20T09:30:00Z" });
  const log = new RoomLog("lobby", page(1, 1, { messages: [own] }));
  assert.equal(slowFor({ room: { ...OPEN, slow_seconds: 30 }, me, log, unsent: [], now: NOW }), 30_000);
});

test("one's role follows hello and pushes, and whom one ignores is known by id", () => {
  const me = new Me({ ...ALICE, guest: true, ignored: [BOB.id] });
  assert.equal(me.guest, true);
  let changes = 0;
  me.addEventListener("change", () => changes++);
  me.greeted({ role: "guest" });
  assert.equal(changes, 0);
  me.greeted({ role: "member" });
  assert.equal(me.guest, false);
  assert.equal(me.ignores(BOB.id), true);
  me.ignore(BOB.id, false);
  assert.equal(me.ignores(BOB.id), false);
  assert.equal(changes, 2);
});
