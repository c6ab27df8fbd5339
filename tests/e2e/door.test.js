// Coming in, being called something else, and leaving.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

play("a name that someone has is refused, in plain words, and another one will do", async ({ enters, joins }) => {
  await joins("alice");
  const other = await enters("alicia");
  await other.opens();
  await other.givesName("ALICE");
  await other.page.getByText("Someone else is called ALICE").waitFor();
  assert.equal(await other.door.getByRole("textbox", { name: "Name", exact: true }).getAttribute("aria-invalid"), "true");

  await other.givesName("alicia");
  await other.isIn();
});

play("no name is refused at once, an odd one with the server's reason", async ({ enters }) => {
  const nobody = await enters("nobody");
  await nobody.opens();
  await nobody.givesName("   ");
  await nobody.page.getByText("A name is needed").waitFor();
  await nobody.givesName("x".repeat(40));
  await nobody.until(() => /32/.test(document.querySelector("#sign-in-problem")?.textContent ?? ""));
});

play("the e-mail is for its owner alone", async ({ enters, joins }) => {
  const alice = await enters("alice");
  await alice.opens();
  await alice.page.getByText("never shown").first().waitFor();
  await alice.givesName("alice", "alice@example.org");
  await alice.isIn();
  await alice.says("hello");

  const bob = await joins("bob");
  await bob.hears("hello");
  assert.doesNotMatch(await bob.page.content(), /alice@example\.org/);

  await alice.page.getByRole("button", { name: "You and your settings" }).click();
  await alice.until(() => {
    const field = document.querySelector("#profile-email");
    return field instanceof HTMLInputElement && field.value === "alice@example.org";
  });
});

play("a new name shows everywhere, in old messages too", async ({ joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");
  await alice.says("it is still me");
  await bob.hears("it is still me");

  await alice.page.getByRole("button", { name: "You and your settings" }).click();
  await alice.until(() => /** @type {HTMLInputElement} */ (document.querySelector("#profile-name")).value === "alice");
  await alice.page.getByRole("dialog").getByLabel("Name").fill("alicia");
  await alice.page.getByRole("button", { name: "Save" }).click();
  await bob.person("alicia").waitFor();
  await bob.message("it is still me").filter({ hasText: "alicia" }).waitFor();
  await alice.page.getByRole("button", { name: "You and your settings" }).filter({ hasText: "alicia" }).waitFor();
});

play("a new name that someone has is refused", async ({ joins }) => {
  await joins("bob");
  const alice = await joins("alice");
  await alice.page.getByRole("button", { name: "You and your settings" }).click();
  await alice.until(() => /** @type {HTMLInputElement} */ (document.querySelector("#profile-name")).value === "alice");
  await alice.page.getByRole("dialog").getByLabel("Name").fill("bob");
  await alice.page.getByRole("button", { name: "Save" }).click();
  await alice.page.getByText("Someone else is called bob").waitFor();
});

play("signing out leads to the door, in every tab, and leaves nothing behind", async ({ joins }) => {
  const alice = await joins("alice");
  const tab = await alice.page.context().newPage();
  await tab.goto(alice.url);
  await tab.getByRole("log").waitFor();
  await alice.composer.fill("a draft");

  await alice.page.getByRole("button", { name: "You and your settings" }).click();
  await alice.page.getByRole("button", { name: "Sign out" }).click();
  await alice.page.getByText("What shall we call you?").waitFor();
  await tab.getByText("Your session has ended").waitFor();
  const kept = await alice.page.evaluate(() => Object.keys(localStorage).filter((key) => /draft|unsent/.test(key)));
  assert.deepEqual(kept, []);
});

play("a session remembered by the browser needs no name", async ({ joins }) => {
  const alice = await joins("alice");
  const later = await alice.page.context().newPage();
  await later.goto(alice.url);
  await later.getByRole("log").waitFor();
  assert.equal(await later.locator("sign-in-page").isHidden(), true);
});
