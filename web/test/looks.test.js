// The words of the quiet lines between messages, and a place's colour made readable.

import assert from "node:assert/strict";
import { test } from "node:test";
import { accentColours, contrast } from "../models/accent.js";
import { noticeOf } from "../models/notices.js";
import { ALICE, BOB, message } from "./support.js";

/** @param {object} fields */
const told = (fields) => noticeOf(message(1, { author: ALICE, ...fields }), ({ name }) => name);

test("comings and goings are told by who did what to whom", () => {
  const member = (/** @type {object} */ fields) => told({ kind: "member", user: BOB, ...fields });
  assert.equal(member({ change: "joined" }), "alice joined");
  assert.equal(member({ change: "left" }), "alice left");
  assert.equal(member({ change: "added" }), "alice added bob");
  assert.equal(member({ change: "removed" }), "alice removed bob");
  assert.equal(member({ change: "role", role: "moderator" }), "alice made bob a moderator");
  assert.match(member({ change: "public" }), /the room is public now$/);
  assert.match(member({ change: "private" }), /the room is private now$/);
});

test("changes of a room are told, several at once in one line", () => {
  const room = (/** @type {object} */ fields) => told({ kind: "topic", ...fields });
  assert.equal(room({ topic: "soup" }), "alice set the topic: soup");
  assert.equal(room({ topic: "" }), "alice took the topic away");
  assert.equal(room({ name: "Garden", archived: true }), "alice called the room Garden, and archived the room");
  assert.equal(room({ announcement: false }), "alice let everyone write");
  assert.equal(room({}), "alice changed the room");
});

const PAPER = "#fbfefc";
const NIGHT = "#1e2522";
const CHOICES = ["#000000", "#ffffff", "#808080", "#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff", "#ff00ff", "#7a3cff", "#ffd24d"];

test("whatever colour is chosen, it can be read by day and by night, and so can what stands on it", () => {
  for (const choice of CHOICES) {
    const colours = accentColours(choice);
    for (const colour of Object.values(colours)) assert.match(colour, /^#[0-9a-f]{6}$/);
    assert.ok(contrast(colours.day, PAPER) >= 4.5, `${choice} by day: ${colours.day}`);
    assert.ok(contrast(colours["day-strong"], PAPER) >= 4.5, `${choice} by day, strong: ${colours["day-strong"]}`);
    assert.ok(contrast(colours.night, NIGHT) >= 4.5, `${choice} by night: ${colours.night}`);
    assert.ok(contrast(colours["day-soft"], "#15201b") >= 7, `text on ${choice}'s soft tone: ${colours["day-soft"]}`);
    assert.ok(contrast(colours["night-soft"], "#e7efea") >= 7, `text on ${choice}'s soft tone by night: ${colours["night-soft"]}`);
  }
});

test("what is readable already stays as it was chosen", () => {
  assert.ok(contrast(accentColours("#15603f").day, "#15603f") < 1.05);
});

test("contrast is measured as the web's guidelines do", () => {
  assert.equal(Math.round(contrast("#ffffff", "#000000")), 21);
  assert.equal(contrast("#777777", "#777777"), 1);
});
