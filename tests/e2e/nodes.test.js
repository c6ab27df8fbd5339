// Two nodes on one Redis: two browsers do not notice. When Redis is away they are told, go on reading, and what they
// write meanwhile arrives once.

import assert from "node:assert/strict";
import { after } from "node:test";
import { play } from "./support/play.js";
import { Redis } from "./support/redis.js";
import { Server } from "./support/server.js";

const redis = await Redis.start();
const second = await Server.start({ REDIS_URL: redis.url });

after(async () => {
  redis.resumes();
  await second.stop();
  await redis.stop();
});

play("two browsers on two nodes talk as if they were on one, and both see when Redis is away", async ({ joins, enters }) => {
  const alice = await joins("alice");
  const bob = await enters("bob");
  bob.url = second.url;
  await bob.signsIn();
  await alice.page.getByRole("complementary").getByText("bob").first().waitFor();
  await alice.says("across");
  await bob.hears("across");
  await bob.says("and back");
  await alice.hears("and back");

  redis.pauses();
  for (const person of [alice, bob]) await person.page.getByText("The server cannot store messages").waitFor();
  await bob.says("written meanwhile");
  await bob.until(() => document.querySelector('article[data-state="pending"]'));
  await alice.hasExactlyOnce("across");

  redis.resumes();
  await alice.hears("written meanwhile");
  for (const person of [alice, bob]) {
    await person.hasExactlyOnce("written meanwhile");
    await person.until(() => !/cannot store/.test(document.querySelector("connection-banner")?.textContent ?? ""));
  }
  assert.equal(await bob.page.locator('article[data-state="pending"]').count(), 0);
}, { REDIS_URL: redis.url });
