import assert from "node:assert/strict";
import { test } from "node:test";
import { agoText, durationText } from "../src/times.ts";

test("durations are told with about three digits, as at a terminal", () => {
  assert.deepEqual([0, 12.4, 999, 1_234, 59_940, 61_000, 3_600_000, 90_060_000, Number.NaN].map(durationText), ["0 ms", "12 ms", "999 ms", "1.2 s", "59.9 s", "1 min 01 s", "1 h 00 min", "25 h 01 min", "?"]);
});

test("ages are told in whole units, and none lies in the future", () => {
  assert.deepEqual([-5_000, 5_900, 61_000, 7_200_000, 172_800_000].map(agoText), ["0 s ago", "5 s ago", "1 min ago", "2 h ago", "2 d ago"]);
});
