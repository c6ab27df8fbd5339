// Why something about oneself was refused, in words for the person who asked for it, and which field it is about.
// It must not know forms or the session.

import { RestError } from "../rest.js";

const SHORTEST_PASSWORD = 10;

/** @type {Record<string, string>} */
const WORDS = {
  second_factor: "This code does not fit. Codes are good for half a minute, recovery codes for one use.",
  weak_password: "This password is too easy to guess. Take one that nobody else would think of.",
  bad_link: "This link is used up, has expired or was taken back. Ask for a new one.",
  no_session: "Your session has ended. Load the page again and sign in.",
  banned: "You are banned from here. Only a moderator can lift that.",
  muted: "A moderator has muted you for now.",
  too_large: "This picture is too large: 5 MB and 25 megapixels are the most.",
  not_an_image: "This is no picture that the server knows. PNG, JPEG, GIF and WebP will do.",
};

/** @type {Record<string, string>} */
const FIELDS = {
  name_taken: "name",
  bad_credentials: "password",
  second_factor: "code",
  weak_password: "new",
};

/** Something is wrong with what was filled in, before anybody was asked. */
export class FieldProblem extends Error {
  /**
   * @param {string} field
   * @param {string} words
   */
  constructor(field, words) {
    super(words);
    this.field = field;
  }
}

/**
 * @param {unknown} error
 * @param {string} name the name that was asked for, or signed in with
 * @returns {string}
 */
export function whyRefused(error, name) {
  if (error instanceof FieldProblem) return error.message;
  if (!(error instanceof RestError)) return "The server cannot be reached just now.";
  if (error.code === "name_taken") return `Someone else is called ${name}. Try another name.`;
  if (error.code === "bad_credentials") return name ? "This name and this password do not belong together." : "This is not your password.";
  if (error.code === "rate_limited") return `Too many tries from here just now. Try again ${whenAgain(error.retryAfterMs)}.`;
  if (error.code === "invalid") return whyInvalid(error.message);
  return WORDS[error.code] ?? `The server says: ${error.message}.`;
}

/**
 * @param {unknown} error
 * @returns {string | undefined} the name of the field that the error is about, where it is about one
 */
export function fieldOf(error) {
  if (error instanceof FieldProblem) return error.field;
  if (!(error instanceof RestError)) return undefined;
  return error.code === "invalid" ? partsOf(error.message).field : FIELDS[error.code];
}

/** @param {string} password one to be taken */
export function mindPassword(password) {
  const missing = SHORTEST_PASSWORD - [...password].length;
  if (missing > 0) throw new FieldProblem("new", `A password has at least ${SHORTEST_PASSWORD} characters: ${missing} more.`);
}

/** @param {string} name one to be taken */
export function mindName(name) {
  if (!name) throw new FieldProblem("name", "A name is needed, any name.");
}

/** @param {string} message */
function whyInvalid(message) {
  const { field, reason } = partsOf(message);
  if (field === "name") return `A name has 1 to 32 visible characters (${reason}).`;
  if (field === "email") return `This does not look like an e-mail address (${reason}).`;
  return message;
}

// The server names the field first, as programs like it.
/** @param {string} message */
function partsOf(message) {
  const [, field, reason] = /^(\w+): (.*)$/.exec(message) ?? [];
  return { field, reason };
}

/** @param {number} [ms] */
function whenAgain(ms = 60_000) {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 2) return "in a moment";
  return seconds < 60 ? `in ${seconds} seconds` : seconds < 120 ? "in a minute" : `in ${Math.ceil(seconds / 60)} minutes`;
}
