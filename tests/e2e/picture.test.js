// One's picture: chosen, cropped, sent, seen by all at once, taken away.

import { deflateSync } from "node:zlib";
import assert from "node:assert/strict";
import { play } from "./support/play.js";

/**
 * @param {number} width
 * @param {number} height
 * @returns {{name: string, mimeType: string, buffer: Buffer}} a PNG, red on the left and blue on the right
 */
function redAndBlue(width, height) {
  const line = Buffer.alloc(1 + 3 * width);
  for (let x = 0; x < width; x++) line[1 + 3 * x + (x < width / 2 ? 0 : 2)] = 255;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: height }, () => line)));
  const chunks = [chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))];
  const buffer = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...chunks]);
  return { name: "red-and-blue.png", mimeType: "image/png", buffer };
}

/**
 * @param {string} type
 * @param {Buffer} data
 */
function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(named.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(named, 4);
  framed.writeInt32BE(checksum(named), named.length + 4);
  return framed;
}

/** @param {Buffer} bytes PNG's CRC-32, as a signed number */
function checksum(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum;
}

/**
 * The colour of the middle of a picture in the page.
 * @param {import("./support/person.js").Person} person
 * @param {string} selector
 */
function middleOf(person, selector) {
  return person.page.evaluate(async (selector) => {
    const source = /** @type {HTMLImageElement | HTMLCanvasElement} */ (document.querySelector(selector));
    if (source instanceof HTMLImageElement) await source.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 3;
    canvas.height = 3;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.drawImage(source, 0, 0, 3, 3);
    const [red = 0, , blue = 0] = context.getImageData(1, 1, 1, 1).data;
    return red > 200 && blue < 60 ? "red" : blue > 200 && red < 60 ? "blue" : `neither: ${red}, ${blue}`;
  }, selector);
}

play("a picture is cropped by keyboard, seen by others in old messages, and taken away", async ({ joins, settles }) => {
  const alice = await settles("alice");
  const bob = await joins("bob");
  await alice.says("look at me");
  await bob.hears("look at me");

  await alice.opensSettings();
  await alice.settings.locator("input[type=file]").setInputFiles(redAndBlue(600, 200));
  await alice.until(() => document.activeElement?.matches("canvas.crop__square"));
  for (let step = 0; step < 30; step++) await alice.page.keyboard.press("ArrowRight");
  assert.equal(await middleOf(alice, "canvas.crop__square"), "red");
  for (let step = 0; step < 50; step++) await alice.page.keyboard.press("ArrowLeft");
  assert.equal(await middleOf(alice, "canvas.crop__square"), "blue");
  await alice.page.keyboard.press("+");
  await alice.settings.getByRole("button", { name: "Use this picture" }).click();
  await alice.settings.getByText("That is your picture now").waitFor();

  const chosen = () => /\?v=/.test(document.querySelector("article.message img.message__avatar")?.getAttribute("src") ?? "");
  await bob.until(chosen);
  assert.equal(await middleOf(bob, "article.message img.message__avatar"), "blue");
  await alice.until(() => /\?v=/.test(document.querySelector(".rooms__me img")?.getAttribute("src") ?? ""));
  assert.equal(await middleOf(alice, ".rooms__me img"), "blue");

  await alice.settings.getByRole("button", { name: "Take it away" }).click();
  await alice.settings.getByText("Drawn for you").waitFor();
  await bob.until(async () => {
    const picture = /** @type {HTMLImageElement} */ (document.querySelector("article.message img.message__avatar"));
    const answer = await fetch(picture.src);
    return answer.headers.get("content-type")?.includes("svg");
  });
});

play("a picture is moved by dragging and zoomed by the wheel", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.opensSettings();
  await alice.settings.locator("input[type=file]").setInputFiles(redAndBlue(600, 200));
  const square = alice.settings.locator("canvas.crop__square");
  const { x, y, width, height } = (await square.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await alice.page.mouse.move(x + width / 2, y + height / 2);
  await alice.page.mouse.down();
  await alice.page.mouse.move(x + width, y + height / 2, { steps: 4 });
  await alice.page.mouse.up();
  assert.equal(await middleOf(alice, "canvas.crop__square"), "red");
  await alice.page.mouse.move(x + width / 2, y + height / 2);
  await alice.page.mouse.wheel(0, -300);
  await alice.until(() => Number(/** @type {HTMLInputElement} */ (document.querySelector("crop-picture input")).value) > 1.2);
});

play("a file that is no picture is refused in words, and nothing is sent", async ({ settles }) => {
  const alice = await settles("alice");
  await alice.opensSettings();
  const file = { name: "letter.png", mimeType: "image/png", buffer: Buffer.from("Dear Sir or Madam") };
  await alice.settings.locator("input[type=file]").setInputFiles(file);
  await alice.settings.getByText("“letter.png” is no picture").waitFor();
  await alice.settings.getByRole("button", { name: "Choose a picture" }).waitFor();
});
