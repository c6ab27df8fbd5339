// Why a name or an e-mail was refused, in words for the person who chose it.
// It must not know forms or the session.

import { RestError } from "../rest.js";

/**
 * @param {unknown} error
 * @param {string} name the name that was asked for
 * @returns {string}
 */
export function whyRefused(error, name) {
  if (!(error instanceof RestError)) return "The server cannot be reached just now.";
  if (error.code === "name_taken") return `Someone else is called ${name}. Try another name.`;
  if (error.code === "rate_limited") return "Too many have come in from here just now. Try again in a minute.";
  if (error.code === "invalid") return whyInvalid(error.message);
  return `The server says: ${error.message}.`;
}

// The server names the field first, as programs like it.
/** @param {string} message */
function whyInvalid(message) {
  const [, field, reason] = /^(\w+): (.*)$/.exec(message) ?? [];
  if (field === "name") return `A name has 1 to 32 visible characters (${reason}).`;
  if (field === "email") return `This does not look like an e-mail address (${reason}).`;
  return message;
}
