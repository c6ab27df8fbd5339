// Rooms: making them, finding them, coming and going, and what waits in each.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

play("a room is created, found by part of its name, joined and talked in", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");
  await alice.creates("Reading club");
  await alice.until(() => location.pathname === "/r/reading-club");
  await alice.page.getByText("Nothing has been said in Reading club yet").waitFor();

  await bob.page.getByRole("button", { name: "Find a room" }).click();
  await bob.page.getByLabel("Part of the room's name").fill("read");
  await bob.page.getByRole("dialog").getByRole("link", { name: "Reading club" }).click();
  await bob.isIn("Reading club");
  await alice.says("chapter nine?");
  await bob.hears("chapter nine?");

  await bob.page.getByRole("button", { name: "Join" }).click();
  await alice.log.getByText("bob joined").waitFor();
  await bob.page.getByRole("button", { name: "Leave" }).waitFor();
  await bob.goesTo("Lobby");
  await bob.roomLink("Reading club").waitFor();
});

play("a room that is visited is listed only while it is open", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.creates("Soup & stews");
  const bob = await joins("bob");
  await bob.opens("/r/soup-stews");
  await bob.isIn("Soup & stews");
  await bob.says("just looking");
  await alice.hears("just looking");
  await bob.goesTo("Lobby");
  await bob.roomLink("Soup & stews").waitFor({ state: "detached" });
});

play("a room can be left, the lobby cannot", async ({ joins }) => {
  const alice = await joins("alice");
  assert.equal(await alice.page.getByRole("button", { name: "Leave" }).isVisible(), false);
  await alice.creates("Garden");
  await alice.page.getByRole("button", { name: "Leave" }).click();
  await alice.page.getByRole("button", { name: "Join" }).waitFor();
  await alice.goesTo("Lobby");
  await alice.roomLink("Garden").waitFor({ state: "detached" });
});

play("a name that a room has leads to that room", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.creates("Garden");
  const bob = await joins("bob");
  await bob.page.getByRole("button", { name: "Create a room" }).click();
  await bob.page.getByRole("dialog").getByLabel("Name").fill("garden");
  await bob.page.getByRole("button", { name: "Create", exact: true }).click();
  await bob.page.getByText("There is a room of that name").waitFor();
  await bob.page.getByRole("button", { name: "Open that room" }).click();
  await bob.isIn("Garden");
});

play("an odd name is refused with a reason", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.page.getByRole("button", { name: "Create a room" }).click();
  await alice.page.getByRole("dialog").getByLabel("Name").fill("!!!");
  await alice.page.getByRole("button", { name: "Create", exact: true }).click();
  await alice.until(() => (document.querySelector("#create-problem")?.textContent ?? "").length > 5);
});

play("what is said elsewhere is counted, and read on going there", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.creates("Garden");
  await alice.goesTo("Lobby");
  const bob = await joins("bob");
  await bob.opens("/r/garden");
  await bob.isIn("Garden");
  await bob.says("the beans are up");
  await bob.hears("the beans are up");
  await bob.says("@alice come and see");

  await alice.roomLink("Garden").filter({ hasText: "2" }).waitFor();
  await alice.until(() => document.title === "(2) Lobby · Chinwag");
  await alice.roomLink("Garden").filter({ hasText: "@" }).waitFor();

  await alice.goesTo("Garden");
  await alice.hears("come and see");
  await alice.until(() => document.title === "Garden · Chinwag");
  await alice.until(() => document.querySelector(".message--for-me"));

  await alice.page.reload();
  await alice.isIn("Garden");
  await alice.until(() => document.title === "Garden · Chinwag");
});

play("what was unread on coming back stands below a line", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.creates("Garden");
  await alice.says("mine");
  await alice.hears("mine");
  await alice.goesTo("Lobby");
  const bob = await joins("bob");
  await bob.opens("/r/garden");
  await bob.isIn("Garden");
  await bob.says("new to alice");
  await alice.roomLink("Garden").filter({ hasText: "1" }).waitFor();

  await alice.goesTo("Garden");
  await alice.hears("new to alice");
  assert.equal(await alice.log.locator(".divider--unread + article").filter({ hasText: "new to alice" }).count(), 1);
});

play("back and forward go from room to room", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.creates("Garden");
  await alice.page.goBack();
  await alice.isIn("Lobby");
  await alice.page.goForward();
  await alice.isIn("Garden");
});

play("a room that is not there says so", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.opens("/r/nowhere-at-all");
  await alice.page.getByText("There is no such room").waitFor();
  assert.equal(await alice.composer.isVisible(), false);
  assert.equal(await alice.roomLink("nowhere-at-all").count(), 0);
  await alice.goesTo("Lobby");
  await alice.says("back again");
  await alice.hears("back again");
});
