// What a run's steps did so far, told by its events: pure state.
import type { RunEvent } from "./run_event.ts";

export type StepState = "waiting" | "running" | "retrying" | "succeeded" | "failed" | "skipped" | "stopped";

/** One try at a step. */
export interface Try {
  from: number;
  /** Missing while it goes on. */
  to?: number;
  state: StepState;
}

export interface Step {
  key: string;
  state: StepState;
  tries: Try[];
  /** The event that tells why it failed. */
  failedAt?: number;
}

/** The course of one run. Feed it each event once, in order. */
export class Course {
  readonly #steps = new Map<string, Step>();
  #attempt = 0;
  /** When the first event was, and the last. */
  from = Number.NaN;
  to = Number.NaN;
  isOver = false;

  /** The steps, in the order of the plan; those that it did not name come last. */
  get steps(): Step[] {
    return [...this.#steps.values()];
  }

  /** How many steps are in a state. */
  count(...states: StepState[]): number {
    let found = 0;
    for (const step of this.#steps.values()) if (states.includes(step.state)) found++;
    return found;
  }

  take(event: RunEvent): void {
    // What came before the run's own start, as its place in the queue, is no part of its steps.
    if (event.kind === "run_started") this.#begin(event);
    if (Number.isNaN(this.from)) return;
    this.to = Math.max(Number.isNaN(this.to) ? event.at : this.to, event.at);
    if (event.kind === "run_succeeded" || event.kind === "run_failed" || event.kind === "run_canceled") this.#end(event.at);
    else if (event.step !== undefined) this.#takeStep(event, event.step);
  }

  #begin(event: RunEvent): void {
    if (event.attempt > this.#attempt) {
      // A new attempt begins anew.
      this.#steps.clear();
      this.#attempt = event.attempt;
      this.isOver = false;
    }
    this.from = event.at;
    this.to = event.at;
    for (const key of event.steps ?? []) this.#step(key);
  }

  #takeStep(event: RunEvent, key: string): void {
    switch (event.kind) {
      case "step_started":
      case "step_restarted": {
        const step = this.#step(key);
        this.#close(step, event.at, "stopped");
        step.tries.push({ from: event.at, state: "running" });
        step.state = "running";
        break;
      }
      case "step_succeeded":
        this.#close(this.#step(key), event.at, "succeeded").state = "succeeded";
        break;
      case "step_failed": {
        const step = this.#close(this.#step(key), event.at, "failed");
        step.state = "failed";
        step.failedAt = event.position;
        break;
      }
      case "step_up_for_retry": {
        const step = this.#close(this.#step(key), event.at, "failed");
        step.state = "retrying";
        step.failedAt = event.position;
        break;
      }
      case "step_skipped":
        this.#step(key).state = "skipped";
        break;
      default:
        break;
    }
  }

  /** What the run left going when it ended was ended with it. */
  #end(at: number): void {
    this.isOver = true;
    for (const step of this.#steps.values()) {
      this.#close(step, at, "stopped");
      if (step.state === "running" || step.state === "retrying") step.state = "stopped";
      else if (step.state === "waiting") step.state = "skipped";
    }
  }

  #close(step: Step, at: number, state: StepState): Step {
    const last = step.tries.at(-1);
    if (last !== undefined && last.to === undefined) {
      last.to = at;
      last.state = state;
    }
    return step;
  }

  #step(key: string): Step {
    let found = this.#steps.get(key);
    if (found === undefined) {
      found = { key, state: "waiting", tries: [] };
      this.#steps.set(key, found);
    }
    return found;
  }
}
