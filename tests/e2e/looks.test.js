// For every eye and hand: narrow and dark, by keyboard, with a screen reader, and within the content security policy.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

const PHONE = { viewport: { width: 360, height: 740 } };

/** @param {import("./support/person.js").Person} person */
async function fitsItsWidth(person) {
  const { scrollWidth, clientWidth } = await person.page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { scrollWidth, clientWidth };
  });
  assert.ok(scrollWidth <= clientWidth, `${scrollWidth} px of content in ${clientWidth} px`);
  const wide = await person.page.evaluate(() =>
    [...document.querySelectorAll("#room *")]
      .filter((element) => !element.closest("pre, table") && element.checkVisibility())
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
      .map((element) => element.className),
  );
  assert.deepEqual(wide, []);
}

play("at 360 px nothing is wider than the page, and rooms and people are drawers", async ({ enters }) => {
  const alice = await enters("alice", PHONE);
  await alice.opens();
  await fitsItsWidth(alice);
  await alice.givesName("alice");
  await alice.isIn();
  await alice.says(`a long word: ${"chinwag".repeat(30)}`);
  await alice.says("```\na line of code that is far too long for so narrow a page, and on and on it goes\n```");
  await alice.hears("far too long");
  await fitsItsWidth(alice);

  const rooms = alice.page.getByRole("navigation", { name: "Rooms" });
  assert.equal(await rooms.isVisible(), false);
  await alice.page.getByRole("button", { name: "Rooms" }).click();
  await rooms.waitFor();
  await rooms.getByRole("link", { name: "Lobby" }).waitFor();
  await alice.page.keyboard.press("Escape");
  await rooms.waitFor({ state: "hidden" });

  const people = alice.page.getByRole("complementary");
  await alice.page.getByRole("button", { name: "People here: 1" }).click();
  await people.getByText("alice").waitFor();
  await alice.page.getByRole("button", { name: "Close people" }).click();
  await people.waitFor({ state: "hidden" });
  await alice.until(() => document.activeElement?.getAttribute("aria-controls") === "people");
});

play("choosing a room in the drawer closes it", async ({ enters }) => {
  const alice = await enters("alice", PHONE);
  await alice.signsIn();
  await alice.page.getByRole("button", { name: "Rooms" }).click();
  await alice.creates("Garden");
  await alice.page.getByRole("navigation", { name: "Rooms" }).waitFor({ state: "hidden" });
});

play("where the reader likes it dark, it is dark, and stays legible", async ({ joins }) => {
  const alice = await joins("alice", { colorScheme: "dark" });
  await alice.says("in the dark");
  await alice.hears("in the dark");
  const [ground, ink] = await alice.page.evaluate(() => {
    const context = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
    const style = getComputedStyle(document.body);
    return [style.backgroundColor, style.color].map((colour) => {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      const [red = 0, green = 0, blue = 0] = context.getImageData(0, 0, 1, 1).data;
      return 0.2126 * (red / 255) ** 2.2 + 0.7152 * (green / 255) ** 2.2 + 0.0722 * (blue / 255) ** 2.2;
    });
  });
  assert.ok((ground ?? 1) < 0.05, `the ground's luminance is ${ground}`);
  assert.ok(((ink ?? 0) + 0.05) / ((ground ?? 1) + 0.05) > 7, "text and ground are too close");
});

play("all by keyboard: come in, write, make a room, go back, read up, sign out", async ({ enters }) => {
  const alice = await enters("alice");
  const keys = alice.page.keyboard;
  await alice.opens();
  await alice.until(() => document.activeElement?.id === "sign-in-name");
  await keys.type("alice");
  await keys.press("Enter");
  await alice.isIn();
  await alice.until(() => document.activeElement?.id === "composer-text");
  await keys.type("no mouse here");
  await keys.press("Enter");
  await alice.hears("no mouse here");

  await keys.press("Control+k");
  await alice.until(() => document.activeElement?.closest("browse-rooms"));
  await keys.press("Escape");
  await alice.page.getByRole("button", { name: "Create a room" }).focus();
  await keys.press("Enter");
  await alice.until(() => document.activeElement?.id === "create-name");
  await keys.type("Garden");
  await keys.press("Enter");
  await alice.isIn("Garden");

  await keys.press("Alt+ArrowUp");
  await alice.isIn("Lobby");
  await keys.press("Control+k");
  await keys.type("gard");
  await alice.until(() => document.querySelector(".browse__room")?.getAttribute("href") === "/r/garden");
  await alice.until(() => document.querySelectorAll(".browse__room").length === 1);
  await keys.press("ArrowDown");
  await keys.press("Enter");
  await alice.isIn("Garden");
  await keys.press("Alt+ArrowDown");
  await alice.isIn("Lobby");

  await alice.log.focus();
  await keys.type("x");
  await alice.until(() => document.activeElement?.id === "composer-text");
  assert.equal(await alice.composer.inputValue(), "x");

  await alice.page.getByRole("button", { name: "You and your settings" }).focus();
  await keys.press("Enter");
  await alice.until(() => /** @type {HTMLInputElement} */ (document.querySelector("#profile-name")).value === "alice");
  await alice.page.getByRole("button", { name: "Sign out" }).focus();
  await keys.press("Enter");
  await alice.page.getByText("What shall we call you?").waitFor();
});

play("the focus is always to be seen, and walks the page in reading order", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.says("hello");
  await alice.hears("hello");
  await alice.page.getByRole("link", { name: "Skip to writing" }).focus();
  /** @type {string[]} */
  const stops = [];
  for (let step = 0; step < 20; step++) {
    const stop = await alice.page.evaluate(() => {
      const element = document.activeElement;
      if (!(element instanceof HTMLElement) || element === document.body) return null;
      const ring = element.closest(".composer__box") ?? element;
      const style = getComputedStyle(ring);
      const seen = style.outlineStyle !== "none" || style.boxShadow !== "none";
      const landmark = element.closest("nav, main, aside")?.id ?? "skip";
      return seen ? landmark : `unseen: ${element.outerHTML.slice(0, 80)}`;
    });
    if (!stop) break;
    if (stops.at(-1) !== stop) stops.push(stop);
    await alice.page.keyboard.press("Tab");
  }
  assert.deepEqual(stops, ["skip", "rooms", "room", "people"]);
});

play("a screen reader finds landmarks, names and a log that speaks", async ({ joins }) => {
  const alice = await joins("alice");
  await alice.says("hello");
  await alice.hears("hello");
  const { page } = alice;
  await page.getByRole("navigation", { name: "Rooms" }).waitFor();
  await page.getByRole("main", { name: "Lobby" }).waitFor();
  await page.getByRole("complementary", { name: /Here now/ }).waitFor();
  await page.getByRole("textbox", { name: "Message Lobby" }).waitFor();
  await page.getByRole("log", { name: "Lobby" }).waitFor();
  await alice.until(() => document.querySelector('[role="log"]')?.getAttribute("aria-live") === "polite");
  assert.equal(await page.getByRole("link", { name: "Lobby" }).getAttribute("aria-current"), "page");
  assert.match(await alice.message("hello").innerText(), /alice/);
  assert.equal(await page.locator("h1:visible").count(), 1);

  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, a[href], input, textarea")]
      .filter((element) => element.checkVisibility())
      .filter((element) => {
        const labels = element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement ? element.labels : null;
        return !(element.ariaLabel || element.textContent?.trim() || labels?.length);
      })
      .map((element) => element.outerHTML.slice(0, 80)),
  );
  assert.deepEqual(nameless, []);
  const unnamedPictures = await page.evaluate(() => [...document.images].filter((image) => !image.hasAttribute("alt")).length);
  assert.equal(unnamedPictures, 0);
});

play("the policy allows nothing from elsewhere and nothing inline, and the page keeps to it", async ({ enters }) => {
  const alice = await enters("alice");
  await alice.page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      Object.assign(window, { violation: `${event.violatedDirective} ${event.blockedURI}` });
    });
  });
  const response = await alice.page.goto(alice.url);
  const policy = response?.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);

  /** @type {string[]} */
  const elsewhere = [];
  alice.page.on("request", (request) => {
    if (!request.url().startsWith(alice.url)) elsewhere.push(request.url());
  });
  await alice.givesName("alice");
  await alice.isIn();
  await alice.says("![a picture](https://example.org/a.png) **bold**");
  await alice.hears("bold");
  await alice.creates("Garden");
  assert.equal(await alice.page.evaluate(() => Reflect.get(window, "violation")), undefined);
  assert.deepEqual(elsewhere, []);
});

play("a browser without scripts is told why it sees nothing", async ({ enters }) => {
  const alice = await enters("alice", { javaScriptEnabled: false });
  await alice.opens();
  const notice = alice.page.locator("noscript .notice");
  await notice.waitFor();
  assert.match(await notice.innerText(), /needs JavaScript/);
});

play("a browser that lacks something is told what", async ({ enters }) => {
  const old = await enters("old");
  await old.page.addInitScript(() => Reflect.deleteProperty(window, "HTMLDialogElement"));
  await old.opens();
  await old.page.getByText("it lacks dialogs").waitFor();
});
