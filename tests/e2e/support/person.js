// One person at a browser of their own: says, hears, opens, sees. The words the tests are written in.
// It must not know the server's process.

import assert from "node:assert/strict";

/** @typedef {import("playwright-core").Page} Page */

/** Everybody's, unless a play is about passwords. */
export const PASSWORD = "eleven herons on a fence";

export class Person {
  /** @type {string[]} */ complaints = [];

  /**
   * @param {string} name
   * @param {Page} page
   * @param {string} url
   */
  constructor(name, page, url) {
    this.name = name;
    this.page = page;
    this.url = url;
    page.on("pageerror", (error) => this.complaints.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" && !isNetwork(message.text())) this.complaints.push(message.text());
    });
  }

  /** @param {string} [path] */
  async opens(path = "/") {
    await this.page.goto(this.url + path);
  }

  /** @param {string} [path] */
  async signsIn(path = "/") {
    await this.opens(path);
    await this.givesName(this.name);
    await this.isIn();
  }

  /** One's own id. */
  async id() {
    return (await this.asks("GET", "/api/session")).user.id;
  }

  /**
   * @param {string} name
   * @param {string[]} [members] ids
   * @returns {Promise<string>} the private room's id
   */
  async makesPrivate(name, members = []) {
    const { room } = await this.asks("POST", "/api/rooms", { kind: "private", name });
    for (const member of members) await this.asks("PUT", `/api/rooms/${room}/members/${member}`, {});
    await this.roomLink(name).waitFor({ state: "attached" });
    return room;
  }

  /**
   * @param {string} text of the message
   * @param {string} act as the menu calls it
   */
  async picks(text, act) {
    await this.message(text).hover();
    await this.message(text).getByRole("button", { name: "What to do with this message" }).click();
    await this.dialog.getByRole("button", { name: act }).click();
  }

  /** The dialog on top. */
  get dialog() {
    return this.page.locator("dialog[open]").last();
  }

  /** @param {string} button by which the place is looked after */
  async looksAfter(button) {
    await this.page.getByRole("button", { name: "Look after this place" }).click();
    await this.dialog.getByRole("button", { name: button, exact: true }).click();
  }

  /** @param {string} name */
  async looksAt(name) {
    await this.person(name).getByRole("button").click();
    await this.dialog.getByRole("heading", { name }).waitFor();
  }

  /**
   * @param {string} name
   * @param {string} [email]
   */
  async givesName(name, email = "") {
    await this.door.getByRole("textbox", { name: "Name", exact: true }).fill(name);
    await this.door.getByRole("textbox", { name: "E-mail" }).fill(email);
    await this.door.getByRole("button", { name: "Come in" }).click();
  }

  /**
   * Opens an address as if it were typed: a page of the same path is loaded anew, which a mere fragment would not do.
   * @param {string} path
   */
  async follows(path) {
    await this.page.goto("about:blank");
    await this.opens(path);
  }

  /**
   * At the door, in the tab for those who have no account yet.
   * @param {{name?: string, password?: string, email?: string}} [account]
   */
  async registers({ name = this.name, password = PASSWORD, email = "" } = {}) {
    await this.#takesTab("Register");
    await this.door.getByRole("textbox", { name: "Name", exact: true }).fill(name);
    await this.door.locator("#register-password").fill(password);
    await this.door.getByRole("textbox", { name: "E-mail" }).fill(email);
    await this.door.locator("account-form button[type=submit]").click();
  }

  /**
   * At the door, in the tab for those who have an account.
   * @param {{login?: string, password?: string}} [who]
   */
  async givesPassword({ login = this.name, password = PASSWORD } = {}) {
    await this.#takesTab("Sign in");
    await this.door.getByRole("textbox", { name: "Name or e-mail" }).fill(login);
    await this.door.locator("#door-password").fill(password);
    await this.door.locator("password-form button[type=submit]").click();
  }

  // Where there is one way in only, there are no tabs.
  /** @param {string} name */
  async #takesTab(name) {
    await this.door.waitFor();
    const tab = this.door.getByRole("tab", { name });
    if (await tab.isVisible()) await tab.click();
  }

  /**
   * Opens what concerns oneself, and there a tab.
   * @param {string} [tab]
   */
  async opensSettings(tab = "You") {
    await this.page.getByRole("button", { name: "You and your settings" }).click();
    await this.until(() => /** @type {HTMLInputElement} */ (document.querySelector("#profile-name")).value !== "");
    await this.settings.getByRole("tab", { name: tab, exact: true }).click();
  }

  get settings() {
    return this.page.getByRole("dialog", { name: "You and your settings" });
  }

  /**
   * Asks the server something for which a play needs no button.
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  asks(method, path, body) {
    return this.page.evaluate(
      async ({ method, path, body }) => {
        const json = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
        const answer = await fetch(path, { method, ...(body && json) });
        if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}`);
        return answer.status === 204 ? null : answer.json();
      },
      { method, path, body },
    );
  }

  /** Waits until one is in a room, with a connection. */
  async isIn(room = "Lobby") {
    await this.page.getByRole("heading", { level: 1, name: room, exact: true }).waitFor();
    await this.person(this.name).first().waitFor({ state: "attached" });
  }

  get door() {
    return this.page.locator("sign-in-page");
  }

  get composer() {
    return this.page.locator("#composer-text");
  }

  get log() {
    return this.page.getByRole("log");
  }

  /** @param {string} text */
  async says(text) {
    await this.composer.fill(text);
    await this.composer.press("Enter");
  }

  /** @param {string} text */
  message(text) {
    return this.log.getByRole("article").filter({ hasText: text });
  }

  /**
   * The message is there and in the log for good.
   * @param {string} text
   */
  async hears(text) {
    await this.log.locator('article[data-state="confirmed"]').filter({ hasText: text }).first().waitFor();
  }

  /** @param {string} text */
  async hasExactlyOnce(text) {
    await this.hears(text);
    assert.equal(await this.message(text).count(), 1, `“${text}” is there more than once`);
  }

  /** @param {string} name */
  person(name) {
    return this.page.locator("people-list li").filter({ hasText: name });
  }

  /** @param {string} name */
  roomLink(name) {
    return this.page.getByRole("navigation", { name: "Rooms" }).getByRole("link", { name });
  }

  /** @param {string} name */
  async goesTo(name) {
    await this.roomLink(name).click();
    await this.isIn(name);
  }

  /** @param {string} name */
  async creates(name) {
    await this.page.getByRole("button", { name: "Create a room" }).click();
    await this.page.getByRole("dialog").getByLabel("Name").fill(name);
    await this.page.getByRole("button", { name: "Create", exact: true }).click();
    await this.isIn(name);
  }

  /**
   * Says many things at once, past the page.
   * @param {number} count
   * @param {string} [room]
   */
  async chatters(count, room = "lobby") {
    await this.page.evaluate(
      async ({ count, room }) => {
        for (let index = 1; index <= count; index++) {
          const answer = await fetch(`/api/rooms/${room}/messages`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ txn_id: `chatter-${Date.now()}-${index}`, text: `line ${index}` }),
          });
          if (!answer.ok) throw new Error(`saying line ${index} was answered ${answer.status}`);
        }
      },
      { count, room },
    );
  }

  /**
   * Waits until something holds in the page.
   * @template A
   * @param {(argument: A) => unknown} condition run in the page
   * @param {A} [argument]
   */
  async until(condition, argument) {
    await this.page.waitForFunction(/** @type {any} */ (condition), argument);
  }

  /** Nothing was written to the console that a person at it would call an error; the policy's refusals are errors. */
  async hasNothingToComplainAbout() {
    assert.deepEqual(this.complaints, [], `${this.name}'s console`);
  }
}

/** @param {string} text answers like 401 and lost sockets are part of the play; browsers report them all the same */
function isNetwork(text) {
  return /^Failed to load resource|^WebSocket connection to/.test(text);
}
