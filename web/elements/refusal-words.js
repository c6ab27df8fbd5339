// Why something about a room, a person or the place was refused, in words for whoever asked for it.
// It must not know what was asked for.

import { CommandError } from "../models/connection.js";
import { RestError } from "../rest.js";

/** @type {Record<string, string>} */
const WORDS = {
  not_allowed: "You may not do that, or not any more.",
  no_room: "This room is gone.",
  no_user: "This person is gone.",
  not_found: "It is gone already.",
  exists: "There is a room of that name.",
  name_taken: "There is a room of that name.",
  muted: "You are muted for now.",
  rate_limited: "That was too much at once. Try again in a moment.",
  no_session: "Your session has ended. Load the page again and sign in.",
};

/**
 * @param {unknown} error
 * @returns {string}
 */
export function whyNot(error) {
  if (!(error instanceof RestError || error instanceof CommandError)) return "The server cannot be reached just now.";
  return WORDS[error.code] ?? `The server says: ${error.message}.`;
}
