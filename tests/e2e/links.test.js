// Coming in by a link: the owner's, an invite, one for a new password; and what the door says where a place is closed.

import assert from "node:assert/strict";
import { PASSWORD } from "./support/person.js";
import { play } from "./support/play.js";

/**
 * @param {import("./support/person.js").Person} owner
 * @param {object} [invite]
 * @returns {Promise<string>} the link's path
 */
async function invites(owner, invite = {}) {
  const { link } = await owner.asks("POST", "/api/invites", invite);
  return new URL(link, owner.url).href.slice(owner.url.length);
}

play("the owner's link makes an account the owner's, once, and its token is kept nowhere", async ({ enters, server }) => {
  const link = await server.ownerLink;
  const olive = await enters("olive");
  await olive.opens(link);
  await olive.page.getByText("You are about to own this place").waitFor();
  assert.equal(new URL(olive.page.url()).pathname + new URL(olive.page.url()).hash, "/");
  await olive.registers();
  await olive.isIn();
  const { user } = await olive.asks("GET", "/api/session");
  assert.equal(user.role, "owner");
  const token = link.split("#")[1] ?? "";
  const kept = await olive.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state]));
  assert.ok(!kept.includes(token));

  const late = await enters("late");
  await late.follows(link);
  await late.page.getByText("This link is used up").waitFor();
});

play("the owner's link in the hand of a guest makes an account of the guest", async ({ joins, server }) => {
  const greta = await joins("greta");
  const before = await greta.asks("GET", "/api/session");
  await greta.follows(await server.ownerLink);
  await greta.page.getByText("You are here as a guest called greta").waitFor();
  await greta.registers();
  await greta.isIn();
  const { user } = await greta.asks("GET", "/api/session");
  assert.deepEqual([user.id, user.role, user.guest], [before.user.id, "owner", false]);
});

play("a place by invitation lets nobody new in but by invite", async ({ enters, owns }) => {
  const olive = await owns("olive");
  await olive.asks("PATCH", "/api/place", { join: "invite", name: "The Allotment", welcome: "Mind the slugs." });
  const stranger = await enters("stranger");
  await stranger.opens();
  await stranger.page.getByRole("heading", { level: 1, name: "The Allotment" }).waitFor();
  await stranger.page.getByText("Mind the slugs.").waitFor();
  await stranger.page.getByText("Those who are new here need an invite.").waitFor();
  assert.equal(await stranger.door.getByRole("tab").count(), 0);
  assert.equal(await stranger.door.getByRole("button", { name: "Come in" }).isVisible(), false);

  await stranger.follows(await invites(olive));
  await stranger.page.getByText(/to The Allotment\./).waitFor();
  await stranger.registers();
  await stranger.isIn();

  const visitor = await enters("visitor");
  await visitor.follows(await invites(olive, { role: "guest" }));
  await visitor.givesName("visitor");
  await visitor.isIn();
});

play("an invite in the hand of somebody signed in is accepted by one press, or left", async ({ owns, settles }) => {
  const olive = await owns("olive");
  const alice = await settles("alice");
  const link = await invites(olive, { role: "moderator" });
  await alice.follows(link);
  await alice.page.getByText("as a moderator").waitFor();
  await alice.page.getByText("You are signed in as alice.").waitFor();
  await alice.page.getByRole("button", { name: "Not now" }).click();
  await alice.isIn();
  assert.equal((await alice.asks("GET", "/api/session")).user.role, "member");

  await alice.follows(link);
  await alice.page.getByRole("button", { name: "Accept" }).click();
  await alice.isIn();
  assert.equal((await alice.asks("GET", "/api/session")).user.role, "moderator");
});

play("whoever has an account signs in first, and is asked then", async ({ enters, owns, settles }) => {
  const olive = await owns("olive");
  await settles("alice");
  const phone = await enters("alice");
  await phone.follows(await invites(olive, { role: "moderator" }));
  await phone.givesPassword();
  await phone.page.getByRole("button", { name: "Accept" }).click();
  await phone.isIn();
  assert.equal((await phone.asks("GET", "/api/session")).user.role, "moderator");
});

play("a link that is no use says so, to a stranger and to somebody signed in", async ({ enters, joins }) => {
  const stranger = await enters("stranger");
  await stranger.follows("/join#nonsense");
  await stranger.page.getByText("This link is used up, has expired or was taken back").waitFor();
  await stranger.givesName("stranger");
  await stranger.isIn();

  const bob = await joins("bob");
  await bob.follows("/join#nonsense");
  await bob.page.getByText("This link is used up").waitFor();
  await bob.page.getByRole("button", { name: "Go on to the chat" }).click();
  await bob.isIn();
});

play("a link for a new password ends every session, and the new one opens the door", async ({ enters, owns, settles }) => {
  const olive = await owns("olive");
  const alice = await settles("alice");
  const { user } = await alice.asks("GET", "/api/session");
  const { link } = await olive.asks("POST", `/api/users/${user.id}/reset`);
  const phone = await enters("alice");
  await phone.follows(new URL(link, phone.url).href.slice(phone.url.length));
  await phone.page.getByText("A new password for alice").waitFor();
  await phone.page.locator("#reset-password").fill("twelve herons in a boat");
  await phone.page.keyboard.press("Enter");
  await phone.page.getByText("Your password is changed").waitFor();
  await alice.page.getByText("Your session has ended").waitFor();

  await phone.givesPassword({ password: PASSWORD });
  await phone.page.getByText("do not belong together").waitFor();
  await phone.givesPassword({ password: "twelve herons in a boat" });
  await phone.isIn();
});

play("what went wrong at a provider is said once, and leaves the address", async ({ enters }) => {
  const alice = await enters("alice");
  await alice.opens("/?sign_in_problem=denied");
  await alice.page.getByText("did not agree to it").waitFor();
  assert.equal(new URL(alice.page.url()).search, "");
  await alice.opens("/?sign_in_problem=<b>odd</b>");
  await alice.page.getByText("did not work").waitFor();
  await alice.page.reload();
  await alice.page.getByText("What shall we call you?").waitFor();
  assert.equal(await alice.page.getByText("did not work").isVisible(), false);
});

play("whoever is banned is shown the door, and told why", async ({ owns, settles }) => {
  const olive = await owns("olive");
  const alice = await settles("alice");
  const { user } = await alice.asks("GET", "/api/session");
  await olive.asks("POST", `/api/users/${user.id}/ban`, { minutes: null });
  await alice.door.getByRole("button", { name: "Sign in" }).waitFor();
  await alice.givesPassword();
  await alice.page.getByText("You are banned from here").waitFor();
});
