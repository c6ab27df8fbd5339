// The square that is kept of a picture.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Crop, MAX_ZOOM } from "../models/crop.js";

const WIDE = { width: 800, height: 400 };

test("at first it is the middle, as large as the picture allows", () => {
  assert.deepEqual(new Crop(WIDE).square, { left: 200, top: 0, size: 400 });
  assert.deepEqual(new Crop({ width: 300, height: 900 }).square, { left: 0, top: 300, size: 300 });
});

test("dragging the picture to the right shows more of its left", () => {
  const crop = new Crop(WIDE);
  crop.move(0.25, 0);
  assert.deepEqual(crop.square, { left: 100, top: 0, size: 400 });
});

test("it never leaves the picture", () => {
  const crop = new Crop(WIDE);
  crop.move(5, 5);
  assert.deepEqual(crop.square, { left: 0, top: 0, size: 400 });
  crop.zoomTo(2);
  crop.move(-9, -9);
  assert.deepEqual(crop.square, { left: 600, top: 200, size: 200 });
  crop.zoomTo(1);
  assert.deepEqual(crop.square, { left: 400, top: 0, size: 400 });
});

test("zooming keeps the middle, or the point that it is about", () => {
  const crop = new Crop(WIDE);
  crop.zoomTo(2);
  assert.deepEqual(crop.square, { left: 300, top: 100, size: 200 });
  crop.zoomTo(4, { x: 0, y: 1 });
  assert.deepEqual(crop.square, { left: 300, top: 200, size: 100 });
});

test("zoom has two ends", () => {
  const crop = new Crop(WIDE);
  crop.zoomTo(0.2);
  assert.equal(crop.zoom, 1);
  crop.zoomTo(100);
  assert.equal(crop.zoom, MAX_ZOOM);
});
