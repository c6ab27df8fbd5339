// An authenticator app, as far as a play needs one (RFC 6238, with the parameters that apps take for granted).
// It must not know the page.

import { createHmac } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const STEP_MS = 30_000;

/**
 * @param {string} secret in base 32, spaces allowed
 * @param {number} [at]
 * @returns {string} six digits
 */
export function codeOf(secret, at = Date.now()) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / STEP_MS)));
  const digest = createHmac("sha1", decode(secret)).update(counter).digest();
  const offset = (digest.at(-1) ?? 0) & 15;
  const number = digest.readUInt32BE(offset) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/**
 * A code that was used is not taken again: the play goes on with the next one, which the server's tolerance covers.
 * @param {string} secret
 */
export function nextCodeOf(secret) {
  return codeOf(secret, Date.now() + STEP_MS);
}

/** @param {string} secret */
function decode(secret) {
  const bits = [...secret.replace(/[\s=]/g, "")].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const bytes = bits.match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => parseInt(byte, 2)));
}
