// Times as people read them, in their zone and manner: the hour beside a message, the whole of it on hover, the day
// between two days. It must not know messages.

const DAY_MS = 86_400_000;
// A mute or ban without an end has one that nobody lives to see.
const FOR_GOOD = Date.parse("3000-01-01T00:00:00Z");

export class Times {
  #now;
  #hour;
  #full;
  #day;
  #dayWithYear;
  #dayKey;

  /**
   * @param {{now: () => number, locale: string, timeZone?: string}} options
   */
  constructor({ now, locale, timeZone }) {
    // The page speaks English: "Today" beside "vendredi" would read like a mistake. Hours follow the reader's habit.
    const words = locale.startsWith("en") ? locale : "en-GB";
    this.#now = now;
    const { hour12 } = new Intl.DateTimeFormat(locale, { hour: "numeric" }).resolvedOptions();
    this.#hour = new Intl.DateTimeFormat(locale, { hour: hour12 ? "numeric" : "2-digit", minute: "2-digit", timeZone });
    this.#full = new Intl.DateTimeFormat(words, { dateStyle: "full", timeStyle: "medium", timeZone });
    this.#day = new Intl.DateTimeFormat(words, { weekday: "long", day: "numeric", month: "long", timeZone });
    this.#dayWithYear = new Intl.DateTimeFormat(words, { day: "numeric", month: "long", year: "numeric", timeZone });
    this.#dayKey = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", timeZone });
  }

  /** @param {number} at */
  hour(at) {
    return this.#hour.format(at);
  }

  /** @param {number} at @returns {string} without AM or PM, for where there is no room */
  hourBriefly(at) {
    const parts = this.#hour.formatToParts(at).filter(({ type }) => type !== "dayPeriod");
    return parts.map(({ value }) => value).join("").trim();
  }

  /** @param {number} at */
  full(at) {
    return this.#full.format(at);
  }

  /** @param {number} at @returns {string} the same for two times of one local day */
  dayKey(at) {
    return this.#dayKey.format(at);
  }

  /** @param {number} at */
  moment(at) {
    return `${this.day(at)}, ${this.hour(at)}`;
  }

  /** @param {string | null} end null for what somebody has to lift @returns {string} */
  until(end) {
    const at = end === null ? FOR_GOOD : Date.parse(end);
    if (at >= FOR_GOOD) return "until somebody lifts it";
    const today = this.dayKey(at) === this.dayKey(this.#now());
    return `until ${today ? this.hour(at) : this.moment(at)}`;
  }

  /** @param {number} at */
  day(at) {
    const now = this.#now();
    const key = this.dayKey(at);
    if (key === this.dayKey(now)) return "Today";
    if (key === this.dayKey(now - DAY_MS)) return "Yesterday";
    return now - at < 300 * DAY_MS ? this.#day.format(at) : this.#dayWithYear.format(at);
  }
}
