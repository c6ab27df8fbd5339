// The server goes away and comes back: nothing is lost, nothing is said twice, and one is told.

import assert from "node:assert/strict";
import { play } from "./support/play.js";

play("with the plug pulled one writes on, and all of it arrives once", async ({ server, joins }) => {
  const alice = await joins("alice");
  const bob = await joins("bob");
  await alice.says("before");
  await bob.hears("before");

  await server.killed();
  await alice.page.getByText("Connection lost").waitFor();
  await alice.says("written meanwhile");
  await alice.says("and this");
  await alice.until(() => document.querySelectorAll('article[data-state="pending"]').length === 2);

  await server.restarted();
  await bob.hears("and this");
  await alice.hears("and this");
  for (const person of [alice, bob]) {
    await person.hasExactlyOnce("before");
    await person.hasExactlyOnce("written meanwhile");
    await person.hasExactlyOnce("and this");
  }
  await alice.until(() => !/lost/.test(document.querySelector("connection-banner")?.textContent ?? ""));
});

play("what was not sent survives a reload", async ({ server, joins }) => {
  const alice = await joins("alice");
  await alice.says("before");
  await alice.hears("before");
  await server.killed();
  await alice.page.getByText("Connection lost").waitFor();
  await alice.says("kept in the drawer");
  await alice.until(() => document.querySelector('article[data-state="pending"]'));

  await server.restarted();
  await alice.page.reload();
  await alice.isIn();
  await alice.hasExactlyOnce("kept in the drawer");
});

play("what others said meanwhile is caught up on, without a reload", async ({ server, joins, enters }) => {
  const alice = await joins("alice");
  await alice.says("before");
  await alice.hears("before");
  let cut = false;
  const bob = await enters("bob");
  await bob.page.routeWebSocket("**/api/socket", (socket) => {
    if (cut) socket.close({ code: 4008 });
    else socket.connectToServer();
  });
  await bob.signsIn();
  await bob.hears("before");
  await bob.page.evaluate(() => Object.assign(window, { sameLife: true }));

  cut = true;
  await server.killed();
  await server.restarted();
  await bob.page.getByText("Connection lost").waitFor();
  await alice.says("you missed this");
  await alice.hears("you missed this");
  await alice.says("and that");
  await alice.hears("and that");

  cut = false;
  // It may come back by itself at that very moment, and then there is no button any more.
  const tries = bob.page.getByRole("button", { name: "Try now" }).click().catch(() => {});
  await Promise.race([tries, bob.hears("you missed this")]);
  await bob.hasExactlyOnce("you missed this");
  await bob.hasExactlyOnce("and that");
  assert.equal(await bob.page.evaluate(() => "sameLife" in window), true);
});

play("a server that is stopped properly is found again, too", async ({ server, joins }) => {
  const alice = await joins("alice");
  await server.drained();
  await alice.page.getByRole("status").filter({ hasText: /restarting|lost/ }).waitFor();
  await alice.says("are you back?");
  await server.restarted();
  await alice.hasExactlyOnce("are you back?");
});

play("a browser that lost its network says so, and finds a dead connection by asking", async ({ enters }) => {
  const alice = await enters("alice");
  let dead = false;
  await alice.page.routeWebSocket("**/api/socket", (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => dead || server.send(message));
    server.onMessage((message) => dead || socket.send(message));
  });
  await alice.signsIn();

  dead = true;
  await alice.page.context().setOffline(true);
  await alice.page.getByText("You are offline").waitFor();
  await alice.says("later, then");
  dead = false;
  await alice.page.context().setOffline(false);
  await alice.hasExactlyOnce("later, then");
});

play("a connection that is not allowed is not tried again", async ({ enters }) => {
  const alice = await enters("alice");
  let dialled = 0;
  await alice.page.routeWebSocket("**/api/socket", (socket) => {
    dialled++;
    socket.close({ code: 1008 });
  });
  await alice.opens();
  await alice.givesName("alice");
  await alice.page.getByText("closed the door").waitFor();
  await alice.page.getByRole("button", { name: "Load again" }).waitFor();
  assert.equal(dialled, 1);
});

play("a history that cannot be continued is shown afresh, and it is said", async ({ enters }) => {
  const alice = await enters("alice");
  /** @type {(() => void) | null} */
  let reset = null;
  await alice.page.routeWebSocket("**/api/socket", (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => socket.send(message));
    reset = () => socket.send(JSON.stringify({ type: "reset", room: "lobby", epoch: "another", oldest: 1, head: 1 }));
  });
  await alice.signsIn();
  await alice.says("still here");
  await alice.hears("still here");
  /** @type {any} */ (reset)();
  await alice.page.getByText("shown afresh").waitFor();
  await alice.hasExactlyOnce("still here");
});
