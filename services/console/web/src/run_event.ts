// An event of a run, as the console tells it: view/event.py has the other half of this.

export interface RunEvent {
  /** Its place in the run's history. */
  position: number;
  attempt: number;
  /** Milliseconds since 1970. */
  at: number;
  /** As the contract names it. */
  kind: string;
  /** As Python's levels: 10 debug, 20 info, 30 warning, 40 error. */
  level: number;
  text: string;
  /** The step that it is about, if it is about one. */
  step?: string;
  /** Of a run's start: the steps that it will execute. */
  steps?: string[];
  /** There is more to show than the text says. */
  more?: boolean;
}
