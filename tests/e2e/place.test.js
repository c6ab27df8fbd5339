// The place as a whole: its people and their roles, its look, its invites, and the record of who did what.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

play("the owner names and colours the place, for everyone at once", async ({ owns, joins }) => {
  const olga = await owns("olga");
  const bob = await joins("bob");
  await olga.looksAfter("Settings of this place");
  await olga.dialog.locator("fieldset:not([disabled])").waitFor();
  await olga.dialog.getByLabel("Name").fill("Kitchen table");
  await olga.dialog.getByLabel("A colour of its own").check();
  await olga.dialog.getByLabel("Colour", { exact: true }).fill("#ffee00");
  await olga.dialog.getByRole("button", { name: "Save" }).click();

  await bob.until(() => document.title === "Lobby · Kitchen table");
  await bob.page.getByRole("link", { name: "Kitchen table, home" }).waitFor();
  const day = await bob.page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--place-day"));
  assert.match(day, /^#[0-9a-f]{6}$/);
  assert.notEqual(day, "#ffee00", "yellow on paper cannot be read");
  await bob.page.reload();
  await bob.until(() => document.title === "Lobby · Kitchen table");

  await olga.asks("PATCH", "/api/place", { accent: null });
  await bob.until(() => getComputedStyle(document.documentElement).getPropertyValue("--place-day") === "");
});

play("an admin pauses guests and leaves the rest to the owner", async ({ owns, settles }) => {
  const olga = await owns("olga");
  const adam = await settles("adam");
  await olga.asks("PATCH", `/api/users/${await adam.id()}`, { role: "admin" });
  await adam.looksAfter("Settings of this place");
  await adam.dialog.getByText("for the owner to change").waitFor();
  assert.equal(await adam.dialog.getByLabel("Name").isDisabled(), true);
  await adam.dialog.getByLabel("Let no new guests in").check();
  await adam.dialog.getByRole("button", { name: "Save" }).click();
  await adam.dialog.waitFor({ state: "hidden" });
  const { guests_paused } = await olga.asks("GET", "/api/place");
  assert.equal(guests_paused, true);
});

play("where the command line has set who may come in, the page says so", async ({ owns }) => {
  const olga = await owns("olga");
  await olga.page.route("**/api/place", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ json: { ...(await answer.json()), join_fixed: true } });
  });
  await olga.looksAfter("Settings of this place");
  await olga.dialog.getByText("with --join").waitFor();
  assert.equal(await olga.dialog.getByLabel("Who may come in").isDisabled(), true);
});

play("a role that is given shows at once in what one is offered", async ({ owns, settles }) => {
  const olga = await owns("olga");
  const bob = await settles("bob");
  assert.equal(await bob.page.getByRole("button", { name: "Look after this place" }).isVisible(), false);
  await olga.looksAt("bob");
  await olga.dialog.getByLabel("Role").selectOption("moderator");
  await olga.dialog.getByText("bob has another role now").waitFor();
  await bob.page.getByRole("button", { name: "Look after this place" }).click();
  await bob.dialog.getByRole("button", { name: "Reports" }).waitFor();
  assert.equal(await bob.dialog.getByRole("button", { name: "Audit log" }).isVisible(), false);
});

play("an invite is shown once, as a link and as a picture, and taken back", async ({ owns }) => {
  const olga = await owns("olga");
  await olga.looksAfter("Invites");
  await olga.dialog.getByText("No link is open").waitFor();
  await olga.dialog.getByLabel("To come in as").selectOption("moderator");
  await olga.dialog.getByLabel("How often").selectOption("5");
  await olga.dialog.getByRole("button", { name: "Make a link" }).click();
  await olga.until(() => {
    const code = document.querySelector("list-invites img");
    return code instanceof HTMLImageElement && code.complete && code.naturalWidth > 0;
  });
  const link = olga.dialog.getByRole("textbox", { name: "The new link" });
  assert.match(await link.inputValue(), /^http:\/\/127\.0\.0\.1:\d+\/join#\S+$/);
  await olga.dialog.getByText("used 0 of 5 times").waitFor();
  await olga.page.keyboard.press("Escape");
  await olga.looksAfter("Invites");
  await olga.dialog.getByText("used 0 of 5 times").waitFor();
  assert.equal(await link.isVisible(), false);
  await olga.dialog.getByRole("button", { name: "Take back" }).click();
  await olga.dialog.getByText("No link is open").waitFor();
});

play("the owner of a private room invites into it, and nowhere else", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.makesPrivate("Party");
  await alice.goesTo("Party");
  await alice.page.getByRole("button", { name: "All members" }).click();
  await alice.dialog.getByRole("button", { name: "Invite by link" }).click();
  const into = alice.dialog.getByLabel("Leads to");
  assert.deepEqual(await into.locator("option").allInnerTexts(), ["Party"]);
  assert.deepEqual(await alice.dialog.getByLabel("To come in as").locator("option").allInnerTexts(), ["Guest", "Member"]);
  await alice.dialog.getByRole("button", { name: "Make a link" }).click();
  await alice.dialog.getByText("Member, into Party").waitFor();
});

play("everyone finds people by part of their name, and their role", async ({ owns, settles }) => {
  await owns("olga");
  const bob = await settles("bob");
  await bob.page.getByRole("button", { name: "People", exact: true }).click();
  await bob.dialog.getByRole("button", { name: "olga" }).filter({ hasText: "Owner" }).waitFor();
  await bob.dialog.getByLabel("Part of a name").fill("nobody at all");
  await bob.dialog.getByText("Nobody is called anything like").waitFor();
  await bob.dialog.getByLabel("Part of a name").fill("olg");
  await bob.dialog.getByRole("button", { name: "olga" }).click();
  await bob.dialog.getByRole("heading", { name: "olga" }).waitFor();
  await bob.dialog.getByText("Owner").waitFor();
});

play("an admin hands out a link for a forgotten password", async ({ owns, settles }) => {
  const olga = await owns("olga");
  await settles("bob");
  await olga.looksAt("bob");
  await olga.dialog.getByRole("button", { name: "Link for a new password" }).click();
  await olga.dialog.getByText("it sets a new password, once").waitFor();
  const link = await olga.dialog.getByRole("textbox", { name: "Link for a new password" }).inputValue();
  assert.match(link, /\/join#\S+$/);
});

play("what those with a role did is on record", async ({ owns, settles }) => {
  const olga = await owns("olga");
  const bob = await settles("bob");
  await olga.asks("POST", `/api/users/${await bob.id()}/mute`, { minutes: 10 });
  await olga.looksAfter("Audit log");
  await olga.dialog.getByText(/olga · mute · bob/).waitFor();
});
