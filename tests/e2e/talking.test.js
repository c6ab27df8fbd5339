// Two browsers talk: what one says the other hears, as it was meant.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

play("two people talk", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");

  await alice.says("hello bob");
  await bob.hears("hello bob");
  await bob.says("hello alice");
  await alice.hears("hello alice");
  await alice.hasExactlyOnce("hello bob");
});

play("what was said is still there after a reload", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.says("remember me");
  await alice.hears("remember me");

  await alice.page.reload();
  await alice.isIn();
  await alice.hasExactlyOnce("remember me");
});

play("one's own message shows at once, and is confirmed in the same place", async ({ enters }) => {
  const alice = await enters("alice");
  /** @type {(() => void)[]} */
  const held = [];
  let holding = false;
  await alice.page.routeWebSocket("**/api/socket", (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      if (holding) held.push(() => socket.send(message));
      else socket.send(message);
    });
  });
  await alice.signsIn();

  holding = true;
  await alice.says("on its way");
  const message = alice.message("on its way");
  await alice.until(() => document.querySelector('article[data-state="pending"]'));
  await message.evaluate((element) => Object.assign(element, { marked: true }));

  holding = false;
  for (const release of held.splice(0)) release();
  await alice.hasExactlyOnce("on its way");
  assert.equal(await message.evaluate((element) => "marked" in element), true, "the row was made anew");
});

/**
 * Refuses the first post of a page; all others reach the server.
 * @param {import("playwright-core").Page} page
 * @param {{code: string, message: string}} error
 * @returns {Promise<string[]>} the txn_ids of all posts, as they come
 */
async function refusesFirstPost(page, error) {
  /** @type {string[]} */
  const txnIds = [];
  await page.routeWebSocket("**/api/socket", (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const command = JSON.parse(String(message));
      if (command.type === "post") txnIds.push(command.txn_id);
      if (command.type !== "post" || txnIds.length > 1) {
        server.send(message);
        return;
      }
      socket.send(JSON.stringify({ type: "reply", ref: command.ref, error }));
    });
  });
  return txnIds;
}

play("a message that was refused says so, and is sent again with the same txn_id", async ({ enters, joins }) => {
  const bob = await joins("bob");
  const alice = await enters("alice");
  const txnIds = await refusesFirstPost(alice.page, { code: "muted", message: "you are muted" });
  await alice.signsIn();

  await alice.says("once more");
  await alice.page.getByText("Not sent: a moderator has muted you for now").waitFor();
  await alice.page.getByRole("button", { name: "Try again" }).click();
  await bob.hasExactlyOnce("once more");
  await alice.hasExactlyOnce("once more");
  assert.equal(txnIds.length, 2);
  assert.equal(txnIds[0], txnIds[1]);
});

play("a message that could not be stored waits, and is sent by itself", async ({ enters, joins }) => {
  const bob = await joins("bob");
  const alice = await enters("alice");
  const txnIds = await refusesFirstPost(alice.page, { code: "unavailable", message: "the log is full" });
  await alice.signsIn();

  await alice.says("in a while");
  await bob.hasExactlyOnce("in a while");
  await alice.hasExactlyOnce("in a while");
  assert.equal(txnIds.length, 2);
  assert.equal(txnIds[0], txnIds[1]);
});

play("Markdown is rendered, and markup from outside is only text", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");

  await alice.says("so **bold**, so *leaning*, `code` and https://example.org/");
  await bob.hears("so bold, so leaning");
  const body = bob.message("so bold").locator(".message__body");
  assert.equal(await body.locator("strong").innerText(), "bold");
  assert.equal(await body.locator("em").innerText(), "leaning");
  assert.equal(await body.locator("code").innerText(), "code");

  await alice.says('<img src=x onerror="document.title=1"><b>not bold</b>');
  await bob.hears("<b>not bold</b>");
  assert.equal(await bob.message("not bold").locator(".message__body").locator("b, img").count(), 0);
});

play("a link of somebody's opens beside the chat, not in its place", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.says("see [this](https://example.org/)");
  const link = alice.message("see this").getByRole("link", { name: "this" });
  await link.waitFor();
  assert.equal(await link.getAttribute("target"), "_blank");
  assert.match((await link.getAttribute("rel")) ?? "", /noopener/);
});

play("lines stay lines", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.composer.fill("first");
  await alice.composer.press("Shift+Enter");
  await alice.composer.pressSequentially("second");
  const height = (await alice.composer.boundingBox())?.height ?? 0;
  assert.ok(height > 60, `the box did not grow: ${height}`);
  await alice.composer.press("Enter");
  await alice.hears("first");
  assert.match(await alice.message("first").locator(".message__body").innerText(), /first\nsecond/);
});

play("messages of one person in a row are a run, and carry their time", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.says("one");
  await alice.says("two");
  await alice.hears("two");
  assert.equal(await alice.log.locator(".message--lead").count(), 1);
  assert.match((await alice.message("two").locator(".message__time").getAttribute("title")) ?? "", /20\d\d at \d\d:\d\d:\d\d/);
});

play("one sees who is typing, until the message comes", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");
  await bob.composer.pressSequentially("hm");
  await alice.page.getByText("bob is typing").waitFor();
  await bob.says("hm indeed");
  await alice.hears("hm indeed");
  await alice.until(() => document.querySelector("typing-line")?.textContent === "");
});

play("people come and go", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");
  await alice.person("bob").waitFor();
  assert.equal(await alice.person("alice").getByText("you").count(), 1);
  await bob.page.close();
  await alice.person("bob").waitFor({ state: "detached" });
});

play("two tabs are one person", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");
  const second = await bob.page.context().newPage();
  await second.goto(bob.url);
  await second.getByRole("log").waitFor();
  await bob.says("said in one");
  await second.getByText("said in one").waitFor();
  assert.equal(await alice.person("bob").count(), 1);
});

play("a draft stays in its room, and through a reload", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.composer.fill("half a thought");
  await alice.creates("Garden");
  assert.equal(await alice.composer.inputValue(), "");
  await alice.goesTo("Lobby");
  assert.equal(await alice.composer.inputValue(), "half a thought");
  await alice.page.reload();
  await alice.isIn();
  assert.equal(await alice.composer.inputValue(), "half a thought");
});

play("Enter belongs to the input method while it composes", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.composer.fill("にほん");
  await alice.composer.evaluate((text) => {
    text.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }));
  });
  assert.equal(await alice.composer.inputValue(), "にほん");
  await alice.composer.press("Enter");
  await alice.hears("にほん");
});
