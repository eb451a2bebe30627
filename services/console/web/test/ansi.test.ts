import assert from "node:assert/strict";
import { test } from "node:test";
import { Terminal } from "../src/ansi.ts";

const text = (line: { text: string }[]): string => line.map((span) => span.text).join("");

test("colours become styles, and end where they are reset", () => {
  const [line] = new Terminal().take("\u001b[1;31mbad\u001b[0m good\n");
  assert.deepEqual(line, [
    { text: "bad", style: "red bold" },
    { text: " good", style: "" },
  ]);
});

test("a carriage return rewrites the line, as progress bars do", () => {
  const terminal = new Terminal();
  assert.deepEqual(terminal.take("10 %\r20 %"), []);
  assert.equal(text(terminal.last()), "20 %");
  assert.equal(text(terminal.take("\r100 %\u001b[K\nnext")[0] ?? []), "100 %");
  assert.equal(text(terminal.last()), "next");
});

test("an escape that is cut in two by the end of a piece is heeded all the same", () => {
  const terminal = new Terminal();
  terminal.take("\u001b[3");
  const [line] = terminal.take("2mgreen\n");
  assert.deepEqual(line, [{ text: "green", style: "green" }]);
});

test("links, titles and unknown escapes leave nothing but their text", () => {
  const [line] = new Terminal().take("\u001b]8;;javascript:alert(1)\u0007link\u001b]8;;\u0007 \u001b[2J\u001b[?25lend\n");
  assert.equal(text(line ?? []), "link end");
});

test("an escape without an end, and control characters, hold nothing up", () => {
  const terminal = new Terminal();
  const [line] = terminal.take("a\u001b[\u0001b\u0000c\n");
  assert.match(text(line ?? []), /^a.*b.*c$/);
  assert.equal(terminal.take(`\u001b]${"x".repeat(5_000)}\n`).length, 1);
});

test("of 256 colours none is shown in the place of another", () => {
  const [line] = new Terminal().take("\u001b[38;5;196mred?\u001b[38;2;1;2;3m\u001b[1mbold\n");
  assert.deepEqual(line, [
    { text: "red?", style: "" },
    { text: "bold", style: "bold" },
  ]);
});
