// The page as it is served: addresses, drafts, and index.html in step with the files beside it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { addressOf, parseAddress } from "../models/address.js";
import { Drafts } from "../models/drafts.js";
import { FakeClock, memoryStorage } from "./support.js";

const web = new URL("../", import.meta.url);
const html = readFileSync(new URL("index.html", web), "utf8");

/** @param {string} folder */
const filesIn = (folder) => readdirSync(new URL(folder, web)).map((file) => folder + file);

test("every module is loaded ahead, in one go", () => {
  const modules = [...filesIn(""), ...filesIn("models/"), ...filesIn("elements/")].filter((file) => file.endsWith(".js"));
  for (const module of modules) assert.ok(html.includes(`"/assets/HASH/${module}"`), `index.html lacks ${module}`);
});

test("every style sheet is linked, and every linked file exists", () => {
  for (const sheet of filesIn("styles/")) assert.ok(html.includes(`"/assets/HASH/${sheet}"`), `index.html lacks ${sheet}`);
  for (const [, file] of html.matchAll(/"\/assets\/HASH\/([^"]+)"/g)) readFileSync(new URL(file ?? "", web));
});

test("nothing stands in the page that its content security policy forbids", () => {
  assert.doesNotMatch(html, /\sstyle=|\son\w+=|<style/);
  assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)/);
  assert.doesNotMatch(html, /https?:\/\//);
});

test("labels, descriptions and controls point at something", () => {
  const ids = new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id));
  for (const [, list] of html.matchAll(/\s(?:for|aria-labelledby|aria-describedby|aria-controls)="([^"]+)"/g)) {
    for (const id of (list ?? "").split(" ")) assert.ok(ids.has(id), `nothing has the id ${id}`);
  }
});

test("addresses are read and written", () => {
  assert.deepEqual(parseAddress("/"), { room: null });
  assert.deepEqual(parseAddress("/r/reading-club"), { room: "reading-club" });
  assert.deepEqual(parseAddress("/r/reading-club/58"), { room: "reading-club", seq: 58 });
  assert.deepEqual(parseAddress("/r/lobby/first"), { room: null });
  assert.equal(addressOf("café"), "/r/caf%C3%A9");
  assert.deepEqual(parseAddress(addressOf("café", 3)), { room: "café", seq: 3 });
  assert.deepEqual(parseAddress("/r/%zz"), { room: "%zz" });
});

test("drafts are kept by room, through a reload, and gone when sent", async () => {
  const clock = new FakeClock();
  const storage = memoryStorage();
  const reload = () => new Drafts({ storage, userId: "u-alice", clock });
  const drafts = reload();
  drafts.set("lobby", "half a tho");
  drafts.set("lobby", "half a thought");
  assert.equal(drafts.get("lobby"), "half a thought");
  assert.equal(drafts.get("garden"), "");
  await clock.pass(300);
  assert.equal(reload().get("lobby"), "half a thought");
  drafts.set("lobby", "");
  drafts.flush();
  assert.deepEqual(storage.keys(""), []);
});
