// Rooms that are not for everyone: private ones, conversations, and what a room's owner decides about it.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

play("a private room is made and somebody added; who is no member cannot tell it from none", async ({ settles }) => {
  const alice = await settles("alice");
  const bob = await settles("bob");
  const eve = await settles("eve");
  await alice.page.getByRole("button", { name: "Create a room" }).click();
  await alice.dialog.getByLabel("Name").fill("Party");
  await alice.dialog.getByRole("radio", { name: "Private" }).check();
  await alice.dialog.getByRole("button", { name: "Create", exact: true }).click();
  await alice.isIn("Party");
  await alice.page.getByRole("img", { name: "Private" }).waitFor();

  await alice.page.getByRole("button", { name: "All members" }).click();
  await alice.dialog.getByText("Add somebody").click();
  await alice.dialog.getByLabel("Part of a name").fill("bob");
  await alice.dialog.getByRole("list", { name: "People" }).getByRole("button", { name: "bob" }).click();
  await alice.dialog.getByRole("list", { name: "Members" }).getByRole("button", { name: "bob", exact: true }).waitFor();
  await alice.page.keyboard.press("Escape");
  await alice.log.getByText("alice added bob").waitFor();

  await bob.goesTo("Party");
  await bob.says("who brings the cake?");
  await alice.hears("who brings the cake?");

  await eve.opens(new URL(alice.page.url()).pathname);
  await eve.page.getByText("There is no such room").waitFor();
  await eve.opens("/r/no-such-room-at-all");
  await eve.page.getByText("There is no such room").waitFor();
});

play("who is removed is sent out at once, with a word, and the room is off the list", async ({ settles }) => {
  const alice = await settles("alice");
  const bob = await settles("bob");
  await alice.makesPrivate("Party", [await bob.id()]);
  await bob.goesTo("Party");
  await alice.goesTo("Party");
  await alice.says("not for long");
  await bob.hears("not for long");

  await alice.page.getByRole("button", { name: "All members" }).click();
  await alice.dialog.getByRole("button", { name: "Remove bob" }).click();
  await alice.dialog.getByRole("button", { name: "Remove", exact: true }).click();
  await bob.isIn("Lobby");
  await bob.page.getByText("You are no longer in Party").waitFor();
  await bob.roomLink("Party").waitFor({ state: "detached" });
  assert.equal(await bob.message("not for long").count(), 0);
  await bob.page.goBack();
  await bob.page.getByText("There is no such room").waitFor();
});

play("leaving a private room is asked about, since there is no way back", async ({ settles }) => {
  const alice = await settles("alice");
  const bob = await settles("bob");
  await alice.makesPrivate("Party", [await bob.id()]);
  await bob.goesTo("Party");
  assert.equal(await bob.page.getByRole("button", { name: "Leave", exact: true }).isVisible(), false);
  await bob.page.getByRole("button", { name: "All members" }).click();
  await bob.dialog.getByRole("button", { name: "Leave this room" }).click();
  await bob.dialog.getByRole("button", { name: "Cancel" }).click();
  await bob.dialog.getByRole("button", { name: "Leave this room" }).click();
  await bob.dialog.getByRole("button", { name: "Leave", exact: true }).click();
  await bob.isIn("Lobby");
  await bob.roomLink("Party").waitFor({ state: "detached" });
});

play("two people write to each other alone, always in the same conversation", async ({ settles }) => {
  const alice = await settles("alice");
  const bob = await settles("bob");
  await alice.page.getByRole("button", { name: "New message" }).click();
  await alice.dialog.getByRole("button", { name: "bob" }).click();
  await alice.dialog.getByRole("button", { name: "Write to bob" }).click();
  await alice.isIn("bob");
  await alice.says("just between us");

  await bob.roomLink("alice").filter({ hasText: "1" }).waitFor();
  await bob.roomLink("alice").click();
  await bob.hears("just between us");
  const place = new URL(alice.page.url()).pathname;
  await alice.goesTo("Lobby");
  await alice.page.getByRole("button", { name: "People", exact: true }).click();
  await alice.dialog.getByRole("button", { name: "bob" }).click();
  await alice.dialog.getByRole("button", { name: "Write to them" }).click();
  await alice.hears("just between us");
  assert.equal(new URL(alice.page.url()).pathname, place);
});

play("a conversation of several is called by the others' names", async ({ settles }) => {
  const alice = await settles("alice");
  await settles("bob");
  await settles("carol");
  await alice.page.getByRole("button", { name: "New message" }).click();
  await alice.dialog.getByRole("button", { name: "bob" }).click();
  await alice.dialog.getByRole("button", { name: "carol" }).click();
  await alice.dialog.getByRole("button", { name: "Write to 2 people" }).click();
  await alice.page.getByRole("navigation", { name: "Rooms" }).getByRole("list", { name: "Conversations" }).getByRole("link", { name: / and / }).waitFor();
});

play("guests are offered public rooms only, and no conversations", async ({ joins }) => {
  const guest = await joins("guest");
  assert.equal(await guest.page.getByRole("button", { name: "New message" }).isVisible(), false);
  await guest.page.getByRole("button", { name: "Create a room" }).click();
  await guest.dialog.getByLabel("Name").waitFor();
  assert.equal(await guest.dialog.getByRole("radio", { name: "Private" }).isVisible(), false);
});

play("topic and name are shown to all at once, and told in the log", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.creates("Garden");
  const bob = await settles("bob");
  await bob.opens("/r/garden");
  await bob.isIn("Garden");
  assert.equal(await bob.page.getByRole("button", { name: "Settings of this room" }).isVisible(), false);

  await alice.page.getByRole("button", { name: "Settings of this room" }).click();
  await alice.dialog.locator("fieldset:not([disabled])").waitFor();
  await alice.dialog.getByLabel("Name").fill("Allotment");
  await alice.dialog.getByLabel("Topic").fill("beans and peas");
  await alice.dialog.getByRole("button", { name: "Save" }).click();
  await bob.isIn("Allotment");
  await bob.page.locator("room-header").getByText("beans and peas").waitFor();
  await bob.log.getByText("set the topic: beans and peas").waitFor();
});

play("announcements and an archive are read, not written in, and say so", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.creates("News");
  const bob = await settles("bob");
  await bob.opens("/r/news");
  await bob.isIn("News");

  await alice.asks("PATCH", "/api/rooms/news", { announcement: true });
  await bob.page.getByText("Only moderators write here").waitFor();
  assert.equal(await bob.composer.isVisible(), false);
  await alice.says("hear ye");
  await bob.hears("hear ye");

  await alice.asks("PATCH", "/api/rooms/news", { archived: true });
  await alice.page.getByText("This room is archived").waitFor();
  await alice.page.locator("room-header").getByText("Archived").waitFor();
  await alice.asks("PATCH", "/api/rooms/news", { archived: false, announcement: false });
  await bob.composer.waitFor();
});

play("slow mode counts down, and keeps what is being written", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.creates("Slow lane");
  await alice.asks("PATCH", "/api/rooms/slow-lane", { slow_seconds: 5 });
  const bob = await settles("bob");
  await bob.opens("/r/slow-lane");
  await bob.isIn("Slow lane");
  await bob.says("one");
  await bob.hears("one");
  await bob.page.getByText(/may go in \d+ s/).waitFor();
  await bob.composer.fill("two");
  await bob.composer.press("Enter");
  assert.equal(await bob.composer.inputValue(), "two");
  await bob.page.getByText(/may go in \d+ s/).waitFor({ state: "hidden" });
  await bob.composer.press("Enter");
  await bob.hears("two");
});

play("a room that turns private stays with its members, and is gone for who only looked in", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.creates("Garden");
  await alice.says("about to close");
  const bob = await settles("bob");
  const eve = await settles("eve");
  for (const person of [bob, eve]) {
    await person.opens("/r/garden");
    await person.isIn("Garden");
    await person.hears("about to close");
  }
  await bob.page.getByRole("button", { name: "Join" }).click();
  await bob.page.getByRole("button", { name: "Leave" }).waitFor();

  await alice.page.getByRole("button", { name: "Settings of this room" }).click();
  await alice.dialog.locator("fieldset:not([disabled])").waitFor();
  await alice.dialog.getByLabel("Who sees it").selectOption("private");
  await alice.dialog.getByRole("button", { name: "Save" }).click();
  await alice.dialog.getByRole("button", { name: "Make it private" }).click();
  await alice.page.getByRole("img", { name: "Private" }).waitFor();
  await eve.isIn("Lobby");
  await eve.page.getByText("You are no longer in Garden").waitFor();
  await alice.says("among ourselves");
  await bob.hears("among ourselves");
});

play("a room is deleted for everyone, once that was asked twice", async ({ settles }) => {
  const alice = await settles("alice");
  const bob = await settles("bob");
  await alice.makesPrivate("Party", [await bob.id()]);
  await bob.goesTo("Party");
  await alice.goesTo("Party");
  await alice.page.getByRole("button", { name: "Settings of this room" }).click();
  await alice.dialog.getByRole("button", { name: "Delete the room" }).click();
  await alice.dialog.getByRole("button", { name: "Delete the room", exact: true }).click();
  for (const person of [alice, bob]) {
    await person.isIn("Lobby");
    await person.roomLink("Party").waitFor({ state: "detached" });
  }
});
