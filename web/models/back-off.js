// When to come back after a socket closed, and whether to: the close code decides, jitter spreads the crowd.
// Pure arithmetic. It must not know sockets or timers.

import { CLOSE } from "../wire.js";

/** @typedef {"lost" | "drain" | "crowded"} WaitReason */
/** @typedef {"not-allowed" | "session-ended"} StopReason */
/** @typedef {{stop: StopReason} | {stop?: undefined, why: WaitReason, delayMs: number}} Verdict */

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const CROWDED_MS = 30_000;
const DRAIN_SPREAD_MS = 1_500;

/**
 * @param {number} code the number the socket was closed with
 * @param {number} attempt how many times in a row it closed before it had settled
 * @param {() => number} random 0 to 1
 * @returns {Verdict}
 */
export function afterClose(code, attempt, random) {
  if (code === CLOSE.notAllowed) return { stop: "not-allowed" };
  if (code === CLOSE.sessionEnded) return { stop: "session-ended" };
  if (code === CLOSE.tooMany) return { why: "crowded", delayMs: CROWDED_MS * (1 + random()) };
  if (code === CLOSE.drain && attempt === 0) return { why: "drain", delayMs: DRAIN_SPREAD_MS * random() };

  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return { why: "lost", delayMs: ceiling * (0.5 + random() / 2) };
}
