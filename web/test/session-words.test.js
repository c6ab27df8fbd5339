// Why something was refused, in words, and beside which field they stand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldOf, FieldProblem, mindName, mindPassword, whyRefused } from "../elements/session-words.js";
import { RestError } from "../rest.js";

/**
 * @param {string} code
 * @param {{message?: string, retry_after_ms?: number}} [more]
 */
const error = (code, { message = "as the server says it", retry_after_ms } = {}) =>
  new RestError(400, { code, message, retry_after_ms });

test("a wrong password and an unknown name are told apart by nobody", () => {
  assert.equal(whyRefused(error("bad_credentials"), "alice"), "This name and this password do not belong together.");
  assert.equal(whyRefused(error("bad_credentials"), ""), "This is not your password.");
  assert.equal(fieldOf(error("bad_credentials")), "password");
});

test("each problem stands beside its field", () => {
  assert.equal(fieldOf(error("name_taken")), "name");
  assert.equal(fieldOf(error("second_factor")), "code");
  assert.equal(fieldOf(error("weak_password")), "new");
  assert.equal(fieldOf(error("invalid", { message: "email: expected an @" })), "email");
  assert.equal(fieldOf(error("rate_limited")), undefined);
  assert.equal(fieldOf(new TypeError("no network")), undefined);
});

test("what the server names oddly is said plainly", () => {
  assert.match(whyRefused(error("invalid", { message: "name: expected 1 to 32" }), "x"), /^A name has 1 to 32/);
  assert.match(whyRefused(error("banned"), ""), /banned/);
  assert.match(whyRefused(error("muted"), ""), /muted/);
  assert.match(whyRefused(error("bad_link"), ""), /used up/);
  assert.match(whyRefused(new TypeError("no network"), ""), /cannot be reached/);
  assert.equal(whyRefused(error("news_to_us"), ""), "The server says: as the server says it.");
});

test("too many tries: when to come again", () => {
  const after = (/** @type {number | undefined} */ ms) => whyRefused(error("rate_limited", { retry_after_ms: ms }), "");
  assert.match(after(200), /in a moment\.$/);
  assert.match(after(12_300), /in 13 seconds\.$/);
  assert.match(after(undefined), /in a minute\.$/);
  assert.match(after(600_000), /in 10 minutes\.$/);
});

test("a password is counted in characters as people count them", () => {
  assert.throws(() => mindPassword("ninechars"), new FieldProblem("new", "A password has at least 10 characters: 1 more."));
  assert.throws(() => mindPassword("🦊🦊🦊🦊🦊"), FieldProblem);
  assert.doesNotThrow(() => mindPassword("🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊"));
  assert.throws(() => mindName(""), FieldProblem);
});
