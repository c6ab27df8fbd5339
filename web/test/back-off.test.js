// When to come back, by close code and attempt.

import assert from "node:assert/strict";
import { test } from "node:test";
import { afterClose } from "../models/back-off.js";

const most = () => 1;
const least = () => 0;

test("not allowed and session ended mean: do not come back", () => {
  assert.deepEqual(afterClose(1008, 0, most), { stop: "not-allowed" });
  assert.deepEqual(afterClose(4001, 0, most), { stop: "session-ended" });
});

test("a draining node is left at once, but not by all at once", () => {
  assert.deepEqual(afterClose(1001, 0, least), { why: "drain", delayMs: 0 });
  assert.deepEqual(afterClose(1001, 0, most), { why: "drain", delayMs: 1500 });
});

test("a node that keeps draining is asked less and less often", () => {
  const verdict = afterClose(1001, 5, most);
  assert.equal(verdict.stop === undefined && verdict.delayMs, 16_000);
});

test("where there are too many, half a minute passes at least", () => {
  assert.deepEqual(afterClose(4029, 0, least), { why: "crowded", delayMs: 30_000 });
});

test("a lost connection is tried again after twice the time each time, up to half a minute", () => {
  const delays = [0, 1, 2, 3, 10].map((attempt) => afterClose(1006, attempt, most));
  assert.deepEqual(
    delays.map((verdict) => verdict.stop === undefined && verdict.delayMs),
    [500, 1000, 2000, 4000, 30_000],
  );
});

test("jitter halves the time at most", () => {
  assert.deepEqual(afterClose(1006, 1, least), { why: "lost", delayMs: 500 });
});
