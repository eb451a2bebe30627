import assert from "node:assert/strict";
import { test } from "node:test";
import { Course } from "../src/course.ts";
import type { RunEvent } from "../src/run_event.ts";

let position = 0;
const event = (kind: string, at: number, more: Partial<RunEvent> = {}): RunEvent => ({ position: ++position, attempt: 1, at, kind, level: 20, text: "", ...more });

function course(...events: RunEvent[]): Course {
  const made = new Course();
  for (const each of events) made.take(each);
  return made;
}

const started = (attempt = 1, at = 10): RunEvent => event("run_started", at, { attempt, steps: ["a", "b", "c"] });
const states = (of: Course): string[] => of.steps.map((step) => `${step.key} ${step.state}`);

test("steps wait in the order of the plan until they run", () => {
  assert.deepEqual(states(course(event("run_queued", 1), started(), event("step_started", 11, { step: "b" }))), ["a waiting", "b running", "c waiting"]);
});

test("time in the queue is no part of the steps' time", () => {
  assert.equal(course(event("run_queued", 1), started()).from, 10);
});

test("each try has its own bar, and a failure names the event that tells of it", () => {
  const failed = event("step_up_for_retry", 14, { step: "a" });
  const [step] = course(started(), event("step_started", 11, { step: "a" }), failed, event("step_restarted", 16, { step: "a" }), event("step_succeeded", 19, { step: "a" })).steps;
  assert.deepEqual(step?.tries, [
    { from: 11, to: 14, state: "failed" },
    { from: 16, to: 19, state: "succeeded" },
  ]);
  assert.deepEqual([step?.state, step?.failedAt], ["succeeded", failed.position]);
});

test("what a run left going or waiting when it ended is told as that", () => {
  const ended = course(started(), event("step_started", 11, { step: "a" }), event("step_succeeded", 12, { step: "a" }), event("step_started", 12, { step: "b" }), event("run_canceled", 15));
  assert.deepEqual([states(ended), ended.isOver, ended.to], [["a succeeded", "b stopped", "c skipped"], true, 15]);
});

test("a new attempt begins anew", () => {
  assert.deepEqual(states(course(started(), event("step_failed", 12, { step: "a" }), event("run_failed", 13), started(2, 20))), ["a waiting", "b waiting", "c waiting"]);
});

test("a step that the plan did not name comes last", () => {
  assert.deepEqual(states(course(started(), event("step_started", 11, { step: "b[0]" }))).at(-1), "b[0] running");
});
