// A test that reads like a play: a server of its own, people with browsers of their own, and at the end nobody's
// console holds an error. It must not know what is played.

import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Person } from "./person.js";
import { Server } from "./server.js";

/** @typedef {import("playwright-core").BrowserContextOptions} BrowserContextOptions */

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PATIENCE_MS = 15_000;
const PLAY_MS = 90_000;

/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
});

after(() => browser?.close());

/**
 * @typedef {object} Stage
 * @property {Server} server
 * @property {(name: string, options?: BrowserContextOptions) => Promise<Person>} enters with a browser, not signed in
 * @property {(name: string, options?: BrowserContextOptions) => Promise<Person>} joins signed in, in the lobby
 * @property {(name: string, options?: BrowserContextOptions) => Promise<Person>} settles with an account, in the lobby
 * @property {(name: string, options?: BrowserContextOptions) => Promise<Person>} owns as the place's owner, in the lobby
 */

/**
 * @param {string} caption
 * @param {(stage: Stage) => Promise<void>} run
 * @param {Record<string, string>} [env] of the server
 */
export function play(caption, run, env) {
  test(caption, { timeout: PLAY_MS }, async (scene) => {
    const server = await Server.start(env);
    /** @type {Person[]} */
    const people = [];
    scene.after(async () => {
      for (const person of people) await person.page.context().close();
      await server.stop();
    });

    /** @type {Stage["enters"]} */
    const enters = async (name, options = {}) => {
      const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 }, ...options });
      context.setDefaultTimeout(PATIENCE_MS);
      const person = new Person(name, await context.newPage(), server.url);
      people.push(person);
      return person;
    };
    /** @type {Stage["joins"]} */
    const joins = async (name, options) => {
      const person = await enters(name, options);
      await person.signsIn();
      return person;
    };

    /** @type {Stage["settles"]} */
    const settles = async (name, options) => {
      const person = await enters(name, options);
      await person.opens();
      await person.registers();
      await person.isIn();
      return person;
    };
    /** @type {Stage["owns"]} */
    const owns = async (name, options) => {
      const person = await enters(name, options);
      await person.opens(await server.ownerLink);
      await person.registers();
      await person.isIn();
      return person;
    };

    await run({ server, enters, joins, settles, owns });
    for (const person of people) await person.hasNothingToComplainAbout();
  });
}
