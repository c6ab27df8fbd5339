// Messages on their way: kept through a reload, for a day, each under its own txn_id.

import assert from "node:assert/strict";
import { test } from "node:test";
import { KEPT_FOR_MS, Unsent } from "../models/unsent.js";
import { FakeClock, memoryStorage } from "./support.js";

function setUp() {
  const clock = new FakeClock();
  const storage = memoryStorage();
  const reload = (userId = "u-alice") => new Unsent({ storage, userId, clock });
  return { clock, storage, reload };
}

test("a message is pending when written, and again after a reload, in order and with its txn_id", async () => {
  const { clock, reload } = setUp();
  const unsent = reload();
  const first = unsent.add("lobby", "one");
  await clock.pass(1);
  unsent.add("lobby", "two");
  unsent.add("garden", "three");
  assert.deepEqual(
    reload().of("lobby").map(({ text }) => text),
    ["one", "two"],
  );
  assert.equal(reload().next("lobby")?.txn_id, first.txn_id);
  assert.deepEqual(reload().rooms(), ["lobby", "garden"]);
});

test("ids are short printable ASCII", () => {
  assert.match(setUp().reload().add("lobby", "one").txn_id, /^[\x21-\x7e]{1,64}$/);
});

test("it belongs to its author alone", () => {
  const { reload } = setUp();
  reload("u-alice").add("lobby", "one");
  assert.deepEqual(reload("u-bob").of("lobby"), []);
});

test("an acknowledged message is shown until its event came, but never sent again", () => {
  const { reload } = setUp();
  const unsent = reload();
  const { txn_id } = unsent.add("lobby", "one");
  unsent.acknowledge(txn_id, 7);
  assert.equal(unsent.of("lobby")[0]?.state, "sent");
  assert.equal(unsent.next("lobby"), undefined);
  assert.deepEqual(reload().of("lobby"), []);
  unsent.settle("lobby", 6);
  assert.equal(unsent.of("lobby").length, 1);
  unsent.settle("lobby", 7);
  assert.equal(unsent.of("lobby").length, 0);
});

test("a failed message waits for its author, who tries again with the same txn_id", () => {
  const { reload } = setUp();
  const unsent = reload();
  const { txn_id } = unsent.add("lobby", "one");
  unsent.fail(txn_id, "this room is gone");
  assert.equal(unsent.next("lobby"), undefined);
  unsent.retry(txn_id);
  assert.equal(unsent.next("lobby")?.txn_id, txn_id);
  assert.equal(unsent.next("lobby")?.reason, undefined);
});

test("a failed message does not hold up the next one", () => {
  const unsent = setUp().reload();
  unsent.fail(unsent.add("lobby", "one").txn_id, "no");
  unsent.add("lobby", "two");
  assert.equal(unsent.next("lobby")?.text, "two");
});

test("after a day it is not sent any more, and gone after a reload", async () => {
  const { clock, reload } = setUp();
  const unsent = reload();
  unsent.add("lobby", "one");
  await clock.pass(KEPT_FOR_MS + 1);
  assert.deepEqual(reload().of("lobby"), []);
  assert.equal(unsent.next("lobby"), undefined);
  assert.equal(unsent.of("lobby")[0]?.state, "failed");
});

test("said again after a day, it is another message: the old txn_id means nothing any more", async () => {
  const { clock, reload } = setUp();
  const unsent = reload();
  const { txn_id } = unsent.add("lobby", "one");
  unsent.fail(txn_id, "no");
  await clock.pass(KEPT_FOR_MS + 1);
  unsent.retry(txn_id);
  const again = unsent.next("lobby");
  assert.equal(again?.text, "one");
  assert.notEqual(again?.txn_id, txn_id);
});

test("a spoilt entry in storage is passed over", () => {
  const { storage, reload } = setUp();
  storage.set("chinwag:unsent:u-alice:x", "{");
  assert.deepEqual(reload().rooms(), []);
  assert.deepEqual(storage.keys("chinwag:unsent:"), []);
});

test("on signing out nothing is left", () => {
  const { storage, reload } = setUp();
  const unsent = reload();
  unsent.add("lobby", "one");
  unsent.forget();
  assert.deepEqual(storage.keys(""), []);
});
