// The log under the hand: nothing jumps, nothing yanks, and one finds the way back.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

/** @typedef {import("./support/person.js").Person} Person */

/** @param {Person} person */
async function isAtTheEnd(person) {
  await person.until(() => {
    const log = document.querySelector('[role="log"]');
    return log && log.scrollHeight - log.scrollTop - log.clientHeight < 2;
  });
}

/** @param {Person} person */
async function scrollsUp(person) {
  await person.log.evaluate((log) => log.scrollBy(0, -900));
  await person.until(() => document.querySelector(".log__pill:not([hidden])"));
}

/**
 * Where a message stands on the screen; that is what must not move, whatever is loaded above it.
 * @param {Person} person
 * @param {string} text
 */
async function placeOf(person, text) {
  const box = await person.message(text).first().boundingBox();
  return Math.round(box?.y ?? NaN);
}

/** @param {Person} person */
const firstSeq = (person) =>
  person.page.evaluate(() => Number(document.querySelector("article[data-seq]")?.getAttribute("data-seq")));

play("older pages come on scrolling up, and what is being read does not move", async ({ joins }) => {
  const bob = await joins("bob");
  await bob.chatters(180);
  const alice = await joins("alice");
  await alice.hears("line 180");
  await isAtTheEnd(alice);

  for (let page = 1; page <= 3; page++) {
    const first = await firstSeq(alice);
    const before = await alice.page.evaluate(() => {
      const log = /** @type {HTMLElement} */ (document.querySelector('[role="log"]'));
      log.scrollTop = 200;
      const top = log.getBoundingClientRect().top;
      const seen = [...log.querySelectorAll("article")].find((row) => row.getBoundingClientRect().top >= top);
      return { seq: seen?.dataset.seq, top: seen?.getBoundingClientRect().top ?? 0 };
    });
    await alice.until((seq) => Number(document.querySelector("article[data-seq]")?.getAttribute("data-seq")) < seq, first);
    const after = await alice.page.evaluate(
      (seq) => document.querySelector(`article[data-seq="${seq}"]`)?.getBoundingClientRect().top,
      before.seq,
    );
    assert.ok(Math.abs((after ?? 0) - before.top) <= 1, `page ${page}: ${before.seq} moved from ${before.top} to ${after}`);
  }
  await alice.until(() => document.querySelector(".divider--beginning"));
  await alice.hasExactlyOnce("line 37");
});

play("a new message does not yank someone who reads further up, but tells them", async ({ joins }) => {
  const bob = await joins("bob");
  await bob.chatters(60);
  const alice = await joins("alice");
  await alice.hears("line 60");
  await isAtTheEnd(alice);
  await scrollsUp(alice);
  await alice.until(() => document.querySelector(".divider--beginning"));
  const before = await placeOf(alice, "line 45");

  await bob.says("psst");
  await alice.page.getByRole("button", { name: "1 new message" }).waitFor();
  await alice.until(() => document.title.startsWith("(1)"));
  assert.equal(await placeOf(alice, "line 45"), before);

  await alice.page.getByRole("button", { name: "1 new message" }).click();
  await isAtTheEnd(alice);
  await alice.until(() => document.querySelector("message-log button.log__pill")?.hasAttribute("hidden"));
  await alice.until(() => !document.title.startsWith("("));
  assert.equal(await alice.log.locator(".divider--unread + article").filter({ hasText: "psst" }).count(), 1);
});

play("someone at the end stays at the end, also while the composer grows", async ({ joins }) => {
  const bob = await joins("bob");
  const alice = await joins("alice");
  await bob.chatters(40);
  await alice.hears("line 40");
  await isAtTheEnd(alice);
  for (const key of ["a", "Shift+Enter", "b", "Shift+Enter", "c", "d"]) {
    await alice.composer.press(key);
    await isAtTheEnd(alice);
  }
});

play("one's own message leads to the end", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.chatters(60);
  await alice.hears("line 60");
  await isAtTheEnd(alice);
  await scrollsUp(alice);
  await alice.says("here I am");
  await alice.hears("here I am");
  await isAtTheEnd(alice);
});

play("a link to a message leads to it, and from there one reads on to the end", async ({ enters, joins }) => {
  const bob = await joins("bob");
  await bob.chatters(220);
  const alice = await enters("alice");
  await alice.opens("/r/lobby/40");
  await alice.givesName("alice");
  await alice.hears("line 40");
  const box = await alice.log.locator('article[data-seq="40"]').boundingBox();
  assert.ok(box && box.y > 0 && box.y < 800, "the message is not in view");

  await alice.page.getByRole("button", { name: /Newest|new message/ }).click();
  await alice.hears("line 220");
  await isAtTheEnd(alice);

  await alice.opens("/r/lobby/40");
  await alice.hears("line 40");
  for (const seen of ["line 100", "line 160", "line 220"]) {
    await alice.until((text) => {
      const log = document.querySelector('[role="log"]');
      log?.scrollBy(0, 2000);
      return log?.textContent?.includes(text);
    }, seen);
  }
  await bob.says("live again");
  await isAtTheEnd(alice);
  await alice.hasExactlyOnce("live again");
  await alice.hasExactlyOnce("line 137");
});

play("a long log does not make a long page", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.chatters(420);
  await alice.hears("line 420");
  await alice.until(() => document.querySelectorAll("article").length <= 301);
});
