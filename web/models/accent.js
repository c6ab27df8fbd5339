// A place's colour made readable: whatever was chosen, text in it and text on it keep their contrast by day and by
// night. Only hue and strength are taken from the choice where its lightness would not do.
// Pure arithmetic on sRGB and OKLCH. It must not know the DOM.

/** @typedef {{lightness: number, chroma: number, hue: number}} Colour hue in radians */

/**
 * @typedef {object} AccentColours
 * @property {string} day
 * @property {string} day-strong
 * @property {string} day-soft
 * @property {string} night
 * @property {string} night-soft
 */

const PAPER = "#fbfefc";
const NIGHT = "#1e2522";
const READABLE = 5;
const STEP = 0.01;

/**
 * @param {string} hex `#rrggbb`
 * @returns {AccentColours}
 */
export function accentColours(hex) {
  const { lightness, chroma, hue } = toColour(hex);
  const day = untilReadable({ lightness: Math.min(lightness, 0.58), chroma, hue }, PAPER, -STEP);
  const night = untilReadable({ lightness: Math.max(lightness, 0.72), chroma: Math.min(chroma, 0.13), hue }, NIGHT, STEP);
  return {
    day: toHex(day),
    "day-strong": toHex({ ...day, lightness: day.lightness - 0.07 }),
    "day-soft": toHex({ lightness: 0.935, chroma: Math.min(chroma, 0.032), hue }),
    night: toHex(night),
    "night-soft": toHex({ lightness: 0.31, chroma: Math.min(chroma, 0.045), hue }),
  };
}

/**
 * @param {string} a
 * @param {string} b
 * @returns {number} WCAG's contrast of two colours, 1 to 21
 */
export function contrast(a, b) {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

/**
 * @param {Colour} colour
 * @param {string} ground
 * @param {number} step
 */
function untilReadable(colour, ground, step) {
  let { lightness } = colour;
  while (contrast(toHex({ ...colour, lightness }), ground) < READABLE && lightness > 0 && lightness < 1) lightness += step;
  return { ...colour, lightness };
}

/** @param {string} hex */
function linearOf(hex) {
  return [1, 3, 5].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
}

/** @param {string} hex */
function luminance(hex) {
  const [red = 0, green = 0, blue = 0] = linearOf(hex);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** @param {string} hex @returns {Colour} */
function toColour(hex) {
  const [red = 0, green = 0, blue = 0] = linearOf(hex);
  const l = Math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue);
  const m = Math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue);
  const s = Math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue);
  const a = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
  const b = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  const lightness = 0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s;
  return { lightness, chroma: Math.hypot(a, b), hue: Math.atan2(b, a) };
}

// What no screen can show keeps its hue and lightness and loses strength.
/** @param {Colour} colour @returns {string} */
function toHex({ lightness, chroma, hue }) {
  for (let left = chroma; left > 0; left -= 0.004) {
    const rgb = toLinear(lightness, left * Math.cos(hue), left * Math.sin(hue));
    if (rgb.every((share) => share >= 0 && share <= 1)) return written(rgb);
  }
  return written(toLinear(lightness, 0, 0));
}

/**
 * @param {number} lightness
 * @param {number} a
 * @param {number} b
 */
function toLinear(lightness, a, b) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

/** @param {number[]} linear */
function written(linear) {
  const parts = linear.map((share) => {
    const bounded = Math.min(1, Math.max(0, share));
    const shown = bounded <= 0.0031308 ? bounded * 12.92 : 1.055 * bounded ** (1 / 2.4) - 0.055;
    return Math.round(shown * 255).toString(16).padStart(2, "0");
  });
  return `#${parts.join("")}`;
}
