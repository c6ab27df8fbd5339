// Having an account: making one, coming back with it, its password, second factor, sessions and tokens, and its end.

import assert from "node:assert/strict";
import { PASSWORD } from "./support/person.js";
import { play } from "./support/play.js";
import { codeOf, nextCodeOf } from "./support/totp.js";

const BETTER = "twelve herons in a boat";

play("an account is made at the door, and a short password is refused beside its field", async ({ enters }) => {
  const alice = await enters("alice");
  await alice.opens();
  await alice.registers({ password: "herons" });
  await alice.page.getByText("at least 10 characters: 4 more").waitFor();
  await alice.until(() => document.activeElement?.id === "register-password");
  assert.equal(await alice.page.locator("#register-password").getAttribute("aria-invalid"), "true");
  await alice.registers();
  await alice.isIn();
});

play("a password that everybody uses is refused", async ({ enters }) => {
  const alice = await enters("alice");
  await alice.opens();
  await alice.registers({ password: "password123" });
  await alice.page.getByText("too easy to guess").waitFor();
});

play("a guest makes an account of it, keeps what was said, and comes back from another browser", async ({ enters, joins }) => {
  const greta = await joins("greta");
  await greta.says("said as a guest");
  await greta.hears("said as a guest");
  await greta.opensSettings("Make an account");
  await greta.settings.getByRole("textbox", { name: "Password", exact: true }).fill(PASSWORD);
  await greta.page.keyboard.press("Enter");
  await greta.settings.getByText("You have an account now").waitFor();
  await greta.settings.getByRole("tab", { name: "Sessions" }).waitFor();
  await greta.page.keyboard.press("Escape");
  await greta.says("said with an account");
  await greta.hears("said with an account");

  const elsewhere = await enters("greta");
  await elsewhere.opens();
  await elsewhere.givesPassword();
  await elsewhere.isIn();
  await elsewhere.until(() => document.querySelectorAll("article.message--own").length === 2);
});

play("a wrong password and an unknown name get the same words", async ({ enters, settles }) => {
  await settles("alice");
  const eve = await enters("eve");
  await eve.opens();
  for (const login of ["alice", "nobody at all"]) {
    await eve.givesPassword({ login, password: "not that one at all" });
    await eve.page.getByText("This name and this password do not belong together.").waitFor();
    await eve.until(() => document.activeElement?.id === "door-password");
    await eve.page.locator("#door-password").fill("");
    await eve.until(() => !document.querySelector("#door-password-problem")?.textContent);
  }
});

play("signing out of an account leads to the door, and its name opens it again", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.opensSettings();
  await alice.settings.getByRole("button", { name: "Sign out" }).click();
  await alice.page.getByText("What shall we call you?").waitFor();
  await alice.givesPassword();
  await alice.isIn();
});

play("a new password ends the other sessions, and the old one opens nothing", async ({ enters, settles }) => {
  const alice = await settles("alice");
  const phone = await enters("alice");
  await phone.opens();
  await phone.givesPassword();
  await phone.isIn();

  await alice.opensSettings("Signing in");
  await alice.settings.getByLabel("Your password today").fill("not that one at all");
  await alice.settings.getByLabel("New password").fill(BETTER);
  await alice.page.keyboard.press("Enter");
  await alice.settings.getByText("This is not your password.").waitFor();
  await alice.settings.getByLabel("Your password today").fill(PASSWORD);
  await alice.page.keyboard.press("Enter");
  await alice.settings.getByText("your other sessions have ended").waitFor();
  await alice.page.keyboard.press("Escape");
  await alice.says("still here");
  await alice.hears("still here");

  await phone.page.getByText("Your session has ended").waitFor();
  await phone.until(() => document.activeElement?.id === "door-password");
  await phone.givesPassword();
  await phone.page.getByText("do not belong together").waitFor();
  await phone.givesPassword({ password: BETTER });
  await phone.isIn();
});

play("a second factor is set up by its secret, asked for at the door, and replaced by a recovery code", async ({ enters, settles }) => {
  const alice = await settles("alice");
  await alice.opensSettings("Signing in");
  const part = alice.settings.locator("own-second-factor");
  await part.getByLabel("Your password").fill(PASSWORD);
  await part.getByRole("button", { name: "Set it up" }).click();
  await part.getByLabel("Code that the app shows").waitFor();
  const secret = await part.locator("[data-part=secret]").innerText();
  await alice.until(() => {
    const code = document.querySelector("img.factor__qr");
    return code instanceof HTMLImageElement && code.naturalWidth > 0;
  });
  await part.getByLabel("Code that the app shows").fill("12");
  await alice.page.keyboard.press("Enter");
  await part.getByText("This code does not fit").waitFor();
  await part.getByLabel("Code that the app shows").fill(codeOf(secret));
  await alice.page.keyboard.press("Enter");
  await part.getByLabel("Recovery codes").waitFor();
  const recovery = (await part.getByLabel("Recovery codes").inputValue()).split("\n");
  assert.equal(new Set(recovery).size, 8);
  await part.getByRole("button", { name: "I have kept them" }).click();
  await alice.settings.getByText("You are asked for a code").waitFor();

  const phone = await enters("alice");
  await phone.opens();
  for (const code of [nextCodeOf(secret), recovery[0] ?? ""]) {
    await phone.givesPassword();
    await phone.until(() => document.activeElement?.id === "door-code");
    await phone.page.keyboard.type(code);
    await phone.page.keyboard.press("Enter");
    await phone.isIn();
    await phone.opensSettings();
    await phone.settings.getByRole("button", { name: "Sign out" }).click();
    await phone.page.getByText("What shall we call you?").waitFor();
  }
  await phone.givesPassword();
  await phone.page.locator("#door-code").fill(recovery[0] ?? "");
  await phone.page.keyboard.press("Enter");
  await phone.page.getByText("recovery codes for one use").waitFor();

  await part.getByLabel("Your password").fill(PASSWORD);
  await part.getByRole("button", { name: "Switch it off" }).click();
  await alice.settings.getByText("The second factor is off").waitFor();
});

play("what a closed dialog showed once is not there any more", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.opensSettings("Programs");
  await alice.settings.getByLabel("What for").fill("Weather bot");
  await alice.page.keyboard.press("Enter");
  await alice.settings.getByLabel("The new token").waitFor();
  const token = await alice.settings.getByLabel("The new token").inputValue();
  await alice.page.keyboard.press("Escape");
  await alice.settings.waitFor({ state: "hidden" });
  assert.notEqual(token, "");
  await alice.until((shown) => ![...document.querySelectorAll("textarea, input")].some((field) => Reflect.get(field, "value") === shown), token);
});

play("a session is ended from another one, and all of them at once", async ({ enters, settles }) => {
  const alice = await settles("alice");
  const phone = await enters("alice");
  await phone.opens();
  await phone.givesPassword();
  await phone.isIn();

  await alice.opensSettings("Sessions");
  await alice.settings.getByText("This one").waitFor();
  const items = alice.settings.locator("own-sessions li");
  assert.equal(await items.count(), 2);
  await alice.settings.getByRole("button", { name: /End the session/ }).click();
  await phone.page.getByText("Your session has ended").waitFor();
  await alice.until(() => document.querySelectorAll("own-sessions li").length === 1);

  await phone.givesPassword();
  await phone.isIn();
  await alice.settings.getByRole("button", { name: "Sign out everywhere" }).click();
  await alice.page.getByText("What shall we call you?").waitFor();
  await phone.page.getByText("Your session has ended").waitFor();
});

play("a token is shown once, lets a program in, and does so no more when it is revoked", async ({ server, settles }) => {
  const alice = await settles("alice");
  await alice.opensSettings("Programs");
  await alice.settings.getByText("There is none yet").waitFor();
  assert.equal(await alice.settings.getByLabel("Administer").isVisible(), false);
  await alice.settings.getByRole("button", { name: "Make a token" }).click();
  await alice.settings.getByText("What is the token for?").waitFor();
  await alice.settings.getByLabel("What for").fill("Weather bot");
  await alice.settings.getByRole("button", { name: "Make a token" }).click();
  await alice.settings.getByLabel("The new token").waitFor();
  const token = await alice.settings.getByLabel("The new token").inputValue();
  const asked = () => fetch(`${server.url}/api/session`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await asked()).status, 200);

  const item = alice.settings.locator("own-tokens li").filter({ hasText: "Weather bot" });
  await item.getByRole("button", { name: "Revoke" }).click();
  await item.getByRole("button", { name: "Really revoke" }).click();
  await alice.settings.getByText("There is none yet").waitFor();
  assert.equal((await asked()).status, 401);
});

play(
  "a provider is offered at the door, and in one's settings to be added",
  async ({ enters, settles }) => {
    const stranger = await enters("stranger");
    await stranger.opens();
    const door = stranger.page.getByRole("link", { name: "Continue with GitHub" });
    assert.match((await door.getAttribute("href")) ?? "", /^\/auth\/github\?next=/);
    const ann = await settles("ann");
    await ann.opensSettings("Signing in");
    const add = ann.settings.getByRole("link", { name: "Add GitHub" });
    assert.match((await add.getAttribute("href")) ?? "", /^\/auth\/github\?next=/);
  },
  { CHINWAG_GITHUB_ID: "an-id", CHINWAG_GITHUB_SECRET: "a-secret" },
);

play("an account that was deleted opens nothing, and its name is free", async ({ enters, settles }) => {
  const alice = await settles("alice");
  await alice.opensSettings("Leaving");
  await alice.settings.getByText("The account alice is deleted at once").waitFor();
  await alice.settings.getByRole("textbox", { name: "Your password" }).fill(PASSWORD);
  await alice.settings.getByRole("button", { name: "Delete my account" }).click();
  await alice.settings.getByText("Say that you know it").waitFor();
  await alice.settings.getByLabel("I know that this cannot be undone").check();
  await alice.settings.getByRole("button", { name: "Delete my account" }).click();
  await alice.page.getByText("What shall we call you?").waitFor();

  const again = await enters("alice");
  await again.opens();
  await again.givesPassword();
  await again.page.getByText("do not belong together").waitFor();
});

play("a guest leaves for good without a password", async ({ joins }) => {
  const greta = await joins("greta");
  await greta.opensSettings("Leaving");
  await greta.settings.getByLabel("I know that this cannot be undone").check();
  await greta.settings.getByRole("button", { name: "Delete all that is mine" }).click();
  await greta.page.getByText("What shall we call you?").waitFor();
});

play("on a phone no part of one's settings is wider than the page", async ({ enters }) => {
  const alice = await enters("alice", { viewport: { width: 360, height: 740 } });
  await alice.opens();
  await alice.registers();
  await alice.isIn();
  await alice.page.getByRole("button", { name: "Rooms" }).click();
  await alice.opensSettings();
  for (const tab of ["You", "Signing in", "Sessions", "Programs", "Leaving"]) {
    await alice.settings.getByRole("tab", { name: tab, exact: true }).click();
    const wider = await alice.settings.locator(".profile__panels").evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
    assert.equal(wider, 0, tab);
  }
});

play("the tabs of one's settings are walked by arrows, and a guest has those that concern a guest", async ({ joins }) => {
  const greta = await joins("greta");
  await greta.opensSettings();
  const tabs = greta.settings.getByRole("tab");
  await greta.until(() => [...document.querySelectorAll("edit-profile [role=tab]")].filter((tab) => tab.checkVisibility()).length === 3);
  await tabs.first().focus();
  await greta.page.keyboard.press("ArrowDown");
  await greta.settings.getByRole("tabpanel", { name: "Make an account" }).waitFor();
  await greta.page.keyboard.press("End");
  await greta.settings.getByRole("tabpanel", { name: "Leaving" }).waitFor();
  await greta.page.keyboard.press("ArrowRight");
  await greta.settings.getByRole("tabpanel", { name: "You", exact: true }).waitFor();
});
