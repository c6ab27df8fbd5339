// What a place offers to whoever stands at its door, with a link in the hand or without, and the words for it.
// Pure. It must not know forms or REST.

/** @typedef {import("../wire.js").Place} Place */
/** @typedef {import("../wire.js").Link} Link */
/** @typedef {"guest" | "sign-in" | "register"} Way */

const ROLES = {
  guest: "as a guest",
  member: "as a member",
  moderator: "as a moderator",
  admin: "as an admin",
  owner: "as its owner",
};

const PROVIDER_PROBLEMS = new Map([
  ["denied", "You were not signed in: the other side says that you did not agree to it."],
  ["state", "That sign-in took too long, or was begun in another browser. Please try again."],
  ["provider", "The other side could not be reached, or its answer made no sense. Please try again."],
  ["not_allowed", "That account is not let in here. Ask somebody here for an invite."],
  ["banned", "That account is banned from here."],
]);

/**
 * @param {Place} place
 * @param {Link | null} [link]
 * @returns {Way[]} the likeliest first
 */
export function waysIn(place, link = null) {
  const byInvite = link?.kind === "invite" && link.role !== "guest";
  const byLink = byInvite || link?.kind === "owner";
  /** @type {[Way, boolean][]} */
  const ways = [
    ["guest", !byLink && (place.guests || link?.kind === "invite")],
    ["register", byLink && place.passwords],
    ["sign-in", place.passwords],
    ["register", !byLink && place.register],
  ];
  return ways.filter(([, open]) => open).map(([way]) => way);
}

/**
 * @param {Way | undefined} way
 * @param {Place} place
 * @param {Link | null} [link]
 */
export function leadOf(way, place, link = null) {
  if (link?.kind === "owner") return "You are about to own this place. Make the account that will be its owner’s.";
  if (link?.kind === "invite") return inviteWords(link);
  if (way === "guest") return "Pull up a chair. What shall we call you?";
  if (way === "register") return "A name and a password, and you can come back from anywhere.";
  if (place.guests_paused) return "New guests are not let in just now.";
  return place.register || place.guests ? "Good to see you again." : "Those who are new here need an invite.";
}

/** @param {Link} link an invite */
export function inviteWords({ by, room, place, role = "member" }) {
  const what = room ? `${room.name} at ${place.name}` : place.name;
  const whom = by ? `${by.name} invites you` : "You are invited";
  return role === "member" || role === "guest" ? `${whom} to ${what}.` : `${whom} to ${what}, ${ROLES[role]}.`;
}

/**
 * Where to go for signing in by a provider, and where to come back to.
 * @param {string} provider
 * @param {string} next a path of this page
 * @param {string} [invite]
 */
export function providerAddress(provider, next, invite) {
  const query = new URLSearchParams({ next, ...(invite && { invite }) });
  return `/auth/${encodeURIComponent(provider)}?${query}`;
}

/** @param {string} code from the address, which anybody may have written */
export function providerProblem(code) {
  return PROVIDER_PROBLEMS.get(code) ?? "Signing in there did not work. Please try again.";
}
