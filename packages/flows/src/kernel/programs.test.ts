import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { openLibc } from "./libc.ts";
import { loadShipped, NOT_LOADED, shippedPrograms } from "./programs.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

const few = { flows: 1024, events: 65_536 };

test("this kernel takes all programs", () => {
  const loaded = loadShipped(openLibc(), few);
  expect(Object.values(loaded.programs)).not.toContain(NOT_LOADED);
  loaded.close();
});

test("where one program is refused, all but those of a socket's use are loaded", () => {
  const all = shippedPrograms();
  // As a kernel without the tracepoint would: the name that its loader asks for does not exist.
  const blob = Buffer.from(all.blob);
  const name = Buffer.from("btf_trace_sock_recv_length");
  const at = blob.indexOf(name.subarray("btf_trace_".length));
  expect(at).toBeGreaterThan(0);
  for (let found = at; found >= 0; found = blob.indexOf("sock_recv_length", found + 1))
    blob.write("sock_none", found);
  const loaded = loadShipped(openLibc(), few, { ...all, blob });
  const missing = Object.entries(loaded.programs).filter(([, program]) => program === NOT_LOADED);
  expect(missing.map(([program]) => program)).toEqual(["x0_received", "x0_sent"]);
  loaded.close();
});
