// What can be done with a message and with a person, by anyone and by who has the role for it.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

play("one's own message is deleted for all, by keyboard alone, after asking", async ({ settles }) => {
  const alice = await settles("alice");
  const bob = await settles("bob");
  await alice.says("first thought");
  await alice.says("second thought");
  await bob.hears("second thought");

  const keys = alice.page.keyboard;
  await alice.log.focus();
  await keys.press("Tab");
  await alice.until(() => document.activeElement?.closest("article")?.textContent?.includes("second thought"));
  await keys.press("ArrowUp");
  await alice.until(() => document.activeElement?.closest("article")?.textContent?.includes("first thought"));
  await keys.press("Enter");
  await alice.dialog.getByRole("button", { name: "Copy link" }).waitFor();
  await keys.press("End");
  await alice.until(() => document.activeElement?.textContent?.startsWith("Delete"));
  await keys.press("Enter");
  await alice.dialog.getByText("“first thought” is emptied").waitFor();
  await alice.until(() => document.activeElement?.textContent === "Cancel");
  await keys.press("Tab");
  await keys.press("Enter");
  await bob.message("This message was deleted").waitFor();
  assert.equal(await bob.message("first thought").count(), 0);
  await bob.hears("second thought");
});

play("others' messages offer no deletion, unless one is a moderator", async ({ owns, settles }) => {
  const olga = await owns("olga");
  const bob = await settles("bob");
  await bob.says("rude words");
  await olga.says("manners, please");
  await bob.hears("manners, please");
  await bob.message("manners").hover();
  await bob.message("manners").getByRole("button", { name: "What to do with this message" }).click();
  await bob.dialog.getByRole("button", { name: "Report" }).waitFor();
  assert.equal(await bob.dialog.getByRole("button", { name: "Delete" }).isVisible(), false);

  await olga.picks("rude words", "Delete");
  await olga.dialog.getByRole("button", { name: "Delete", exact: true }).click();
  await bob.message("This message was deleted").waitFor();
});

play("a link to a message is copied and leads there", async ({ settles }) => {
  const alice = await settles("alice", { permissions: ["clipboard-read", "clipboard-write"] });
  await alice.says("look here");
  await alice.hears("look here");
  await alice.picks("look here", "Copy link");
  await alice.page.getByText("The link is copied").waitFor();
  const link = await alice.page.evaluate(() => navigator.clipboard.readText());
  await alice.page.goto(link);
  await alice.hears("look here");
  await alice.until(() => document.querySelector(".message--sought"));
});

play("a reported message comes before the moderators, who settle it", async ({ owns, joins }) => {
  const olga = await owns("olga");
  const spam = await joins("spam");
  const bob = await joins("bob");
  await spam.says("cheap watches");
  await bob.hears("cheap watches");
  await bob.picks("cheap watches", "Report");
  await bob.dialog.getByRole("button", { name: "Report", exact: true }).click();
  await bob.dialog.getByText("Say in a few words").waitFor();
  await bob.dialog.getByLabel("What is wrong").fill("advertising");
  await bob.dialog.getByRole("button", { name: "Report", exact: true }).click();
  await bob.page.getByText("The moderators have been told").waitFor();

  await olga.looksAfter("Reports");
  await olga.dialog.getByText("advertising").waitFor();
  await olga.dialog.getByText("spam in Lobby · reported by bob").waitFor();
  await olga.dialog.getByRole("button", { name: "Delete message" }).click();
  await olga.dialog.getByRole("button", { name: "Delete", exact: true }).click();
  await olga.dialog.getByText("Nothing waits").waitFor();
  await bob.message("This message was deleted").waitFor();
});

play("whom one ignores is folded away, to be opened, and read again", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");
  await bob.says("blah");
  await bob.says("blah blah");
  await alice.hears("blah blah");
  await alice.picks("blah blah", "Ignore bob");
  await alice.log.getByText("2 messages of bob, whom you ignore").waitFor();
  assert.equal(await alice.message("blah").count(), 0);
  await bob.says("and more");
  await alice.log.getByText("3 messages of bob, whom you ignore").waitFor();

  await alice.log.getByRole("button", { name: "Show" }).click();
  await alice.hears("and more");
  await alice.page.reload();
  await alice.log.getByText("3 messages of bob, whom you ignore").waitFor();
  await alice.looksAt("bob");
  await alice.dialog.getByRole("button", { name: "Stop ignoring" }).click();
  await alice.dialog.getByRole("button", { name: "Ignore", exact: true }).waitFor();
  await alice.page.keyboard.press("Escape");
  await alice.hears("and more");
});

play("who is muted is told until when, keeps reading, and writes again when it is lifted", async ({ owns, settles }) => {
  const olga = await owns("olga");
  const bob = await settles("bob");
  await olga.looksAt("bob");
  await olga.dialog.getByRole("button", { name: "Mute bob" }).click();
  await olga.dialog.getByText("bob is muted").waitFor();
  await bob.page.getByText(/You are muted until \d/).waitFor();
  assert.equal(await bob.composer.isVisible(), false);
  await olga.dialog.getByRole("button", { name: "Lift the mute" }).click();
  await bob.composer.waitFor();
  await bob.says("thank you");
  await olga.hears("thank you");
});

play("who is banned is sent to the door, stands on the list, and comes back when it is lifted", async ({ owns, joins }) => {
  const olga = await owns("olga");
  const spam = await joins("spam");
  await olga.looksAt("spam");
  await olga.dialog.getByLabel("Act").selectOption("ban");
  await olga.dialog.getByLabel("Why").fill("advertising");
  await olga.dialog.getByRole("button", { name: "Ban spam" }).click();
  await olga.dialog.getByRole("button", { name: "Ban", exact: true }).click();
  await spam.door.waitFor();
  await olga.page.keyboard.press("Escape");

  await olga.looksAfter("Bans");
  await olga.dialog.getByText("advertising").waitFor();
  await olga.dialog.getByRole("button", { name: "Lift" }).click();
  await olga.dialog.getByText("Nobody is banned").waitFor();
});

play("members find nothing to moderate with, nor moderators with each other", async ({ owns, settles }) => {
  const olga = await owns("olga");
  const mia = await settles("mia");
  const max = await settles("max");
  const bob = await settles("bob");
  for (const person of [mia, max]) await olga.asks("PATCH", `/api/users/${await person.id()}`, { role: "moderator" });

  await bob.looksAt("mia");
  await bob.dialog.getByText("Moderator").waitFor();
  assert.equal(await bob.dialog.getByRole("heading", { name: "Moderation" }).isVisible(), false);
  await mia.looksAt("max");
  await mia.dialog.getByText("Moderator").waitFor();
  assert.equal(await mia.dialog.getByRole("heading", { name: "Moderation" }).isVisible(), false);
  await mia.page.keyboard.press("Escape");
  await mia.looksAt("bob");
  await mia.dialog.getByRole("button", { name: "Mute bob" }).waitFor();
  assert.equal(await mia.dialog.getByRole("heading", { name: "Account" }).isVisible(), false);
});

play("on a phone the menu comes from below and works by touch", async ({ joins }) => {
  const alice = await joins("alice", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await alice.says("a thumb's reach");
  await alice.hears("a thumb's reach");
  const more = alice.message("a thumb's reach").getByRole("button", { name: "What to do with this message" });
  const reach = await more.boundingBox();
  assert.ok(reach && reach.width >= 24 && reach.height >= 24, "a finger cannot hit the button");
  await more.tap();
  const box = await alice.dialog.boundingBox();
  assert.ok(box && box.y + box.height > 700 && box.x >= 0 && box.x + box.width <= 360, `the menu is at ${JSON.stringify(box)}`);
  await alice.dialog.getByRole("button", { name: "Delete" }).tap();
  await alice.dialog.getByRole("button", { name: "Delete", exact: true }).tap();
  await alice.message("This message was deleted").waitFor();
});
