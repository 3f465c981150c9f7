import { expect, test } from "vitest";
import { openRepository, policyText, request } from "./testing/open-repository.ts";

test("what is applied is in force, beside what was, and after a reboot", async () => {
  const first = await openRepository();
  expect(first.ports()).toBeUndefined();
  expect(await first.repository.apply(request(policyText("a", 80)))).toEqual({
    generation: 1,
    added: ["default/a"],
    changed: [],
    removed: [],
    unchanged: [],
    waiting: false,
    warnings: [],
  });
  const both = `${policyText("a", 81)}---\n${policyText("b", 443)}`;
  expect(await first.repository.apply(request(both))).toMatchObject({
    added: ["default/b"],
    changed: ["default/a"],
  });
  expect(first.ports()).toEqual([81, 443]);
  const again = await first.reboot();
  expect(again.ports()).toEqual([81, 443]);
  expect(await again.repository.remove(["default/a"], undefined)).toMatchObject({ removed: ["default/a"] });
  expect(again.ports()).toEqual([443]);
  await again.repository.reset();
  expect(again.ports()).toBeUndefined();
  expect((await again.reboot()).ports()).toBeUndefined();
});

test("a document that says the same stays as it was applied, and keeps its rules' numbers", async () => {
  const { repository, pass } = await openRepository();
  await repository.apply(request(policyText("a", 80)));
  const before = repository.status().held;
  pass(1000);
  expect(await repository.apply(request(policyText("a", 80)))).toMatchObject({ unchanged: ["default/a"] });
  const after = repository.status().held;
  expect(after?.stored.documents).toEqual(before?.stored.documents);
  expect(after?.compiled?.set).toEqual(before?.compiled?.set);
});

test("what is not confirmed in time falls back, here as in the kernel", async () => {
  const { repository, ports, pass, store } = await openRepository();
  await repository.apply(request(policyText("a", 80)));
  const change = await repository.apply(request(policyText("b", 443), { confirmWithinMs: 60_000 }));
  expect(change.waiting).toBe(true);
  expect(ports()).toEqual([80, 443]);
  pass(59_000);
  await repository.refresh();
  expect(repository.status().waiting?.leftMs).toBe(1000);
  await expect(repository.apply(request(policyText("c", 1)))).rejects.toMatchObject({
    code: "X0_FLOWS_POLICY_UNCONFIRMED",
  });
  pass(1000);
  expect(ports()).toEqual([80]);
  await expect(repository.confirm()).rejects.toMatchObject({ code: "X0_FLOWS_POLICY_NOT_WAITING" });
  await repository.refresh();
  expect(repository.status().waiting).toBeUndefined();
  expect(store.generations(1)).toMatchObject([{ number: change.generation, state: "reverted" }]);
  expect(await repository.apply(request(policyText("c", 1)))).toMatchObject({ unchanged: ["default/a"] });
  expect(ports()).toEqual([1, 80]);
});

test("the deadline is told where nobody asked", async () => {
  const { repository, pass, logged } = await openRepository();
  await repository.apply(request(policyText("a", 80), { confirmWithinMs: 5000 }));
  pass(5000);
  await repository.refresh();
  expect(logged.join("")).toMatch(/not confirmed in time.* generation=1/);
  expect(repository.status().held).toBeUndefined();
});

test("confirmed or reverted is settled at once and for good", async () => {
  const first = await openRepository();
  await first.repository.apply(request(policyText("a", 80)));
  await first.repository.apply(request(policyText("b", 443), { confirmWithinMs: 60_000 }));
  // A power cut while it waits.
  expect((await first.reboot()).ports()).toEqual([80]);
  const second = await first.reboot();
  await second.repository.apply(request(policyText("b", 443), { confirmWithinMs: 60_000 }));
  await second.repository.revert();
  expect(second.ports()).toEqual([80]);
  await second.repository.apply(request(policyText("b", 443), { confirmWithinMs: 60_000 }));
  await second.repository.confirm();
  second.pass(100_000);
  await second.repository.refresh();
  expect(second.ports()).toEqual([80, 443]);
  expect((await second.reboot()).ports()).toEqual([80, 443]);
});

test.each([
  ["a kernel that refuses", "X0_FLOWS_KERNEL_CALL", policyText("b", 443)],
  [
    "what Cilium would not take",
    "X0_FLOWS_POLICY_MALFORMED",
    policyText("b", 443).replace("ingress", "ingres"),
  ],
  [
    "what is not supported",
    "X0_FLOWS_POLICY_UNSUPPORTED",
    policyText("b", 443).replace("]}]", '], rules: {http: [{path: "/"}]}}]'),
  ],
])("%s leaves what was", async (_, code, text) => {
  const { repository, kernel, ports, store, reboot } = await openRepository();
  await repository.apply(request(policyText("a", 80)));
  kernel.refuse(code === "X0_FLOWS_KERNEL_CALL");
  await expect(repository.apply(request(text))).rejects.toMatchObject({ code });
  expect(ports()).toEqual([80]);
  expect(store.confirmed()?.documents.map(({ name }) => name)).toEqual(["default/a"]);
  expect((await reboot()).ports()).toEqual([80]);
});

test("a disk that takes no more leaves what was, in the kernel too", async () => {
  const { repository, ports, store } = await openRepository();
  await repository.apply(request(policyText("a", 80)));
  const settle = store.settle;
  Object.assign(store, {
    settle: () => {
      throw new Error("no room");
    },
  });
  await expect(repository.apply(request(policyText("b", 443)))).rejects.toThrow("no room");
  Object.assign(store, { settle });
  expect(ports()).toEqual([80]);
});

test("a new address of this host is taken into account, a change of nothing is not", async () => {
  const fixture = await openRepository();
  const { repository, kernel } = fixture;
  await repository.apply(
    request(policyText("a", 80).replace("toPorts: [{ports", "fromEntities: [host]\n    toPorts: [{ports")),
  );
  const { length } = kernel.swaps;
  await repository.refresh();
  expect(kernel.swaps).toHaveLength(length);
  fixture.host.addresses = ["10.0.0.1", "10.0.0.9"];
  await repository.refresh();
  await repository.refresh();
  expect(kernel.swaps).toHaveLength(length + 1);
  // What says nothing of this host's addresses stays in force as it is.
  await repository.apply(request(policyText("a", 80)));
  fixture.host.addresses = ["10.0.0.1"];
  await repository.refresh();
  expect(kernel.swaps).toHaveLength(length + 2);
});

test("what was pinned and nobody remembers ends with the next start", async () => {
  const before = await openRepository();
  await before.repository.apply(request(policyText("a", 80)));
  const tables = before.kernel.inForce();
  const next = await openRepository(undefined, async (kernel) => {
    await kernel.swap({
      tables,
      pin: true,
      rules: [],
      workloads: [],
      judgeLoopback: false,
      exempt: { id: 2, connections: [] },
    });
  });
  expect(tables).toBeDefined();
  expect(next.ports()).toBeUndefined();
});

test("the world waits for a confirmation, so that the way back stays open", async () => {
  const fixture = await openRepository();
  const { repository, kernel } = fixture;
  const host = policyText("a", 80).replace("toPorts: [{ports", "fromEntities: [host]\n    toPorts: [{ports");
  await repository.apply(request(host, { confirmWithinMs: 5000 }));
  fixture.host.addresses = ["10.0.0.9"];
  await repository.refresh();
  expect(kernel.swaps).toHaveLength(1);
  await repository.confirm();
  expect(kernel.swaps).toHaveLength(2);
});

test("where nothing can be enforced policies are stored, and put in force as soon as it can be", async () => {
  const { repository, kernel, ports } = await openRepository();
  kernel.turnOff({ name: "packets", state: "off", reason: "the process lacks CAP_BPF", hint: "run as root" });
  await repository.apply(request(policyText("a", 80)));
  expect(ports()).toBeUndefined();
  expect(repository.status().off).toEqual({ reason: "the process lacks CAP_BPF", hint: "run as root" });
  await expect(
    repository.apply(request(policyText("b", 1), { confirmWithinMs: 1000 })),
  ).rejects.toMatchObject({ code: "X0_FLOWS_POLICY_NOT_ENFORCED", exit: 3 });
  kernel.turnOff(undefined);
  await repository.refresh();
  expect(ports()).toEqual([80]);
  expect(repository.status().off).toBeUndefined();
});

test("sessions that apply stay, the latest sixteen of them; without management loopback is judged", async () => {
  const { repository, kernel } = await openRepository();
  const session = (port: number) => ({
    protocol: 6,
    source: { ip: "192.0.2.1", port },
    destination: { ip: "10.0.0.1", port: 22 },
  });
  await repository.apply(request(policyText("a", 80), { session: session(1000), management: false }));
  expect(kernel.swaps.at(-1)).toMatchObject({
    judgeLoopback: true,
    exempt: { id: 2, connections: [session(1000)] },
  });
  for (let port = 1000; port < 1020; port++)
    await repository.apply(request(policyText("a", port), { session: session(port) }));
  const { judgeLoopback, exempt } = kernel.swaps.at(-1) ?? {};
  expect(judgeLoopback).toBe(false);
  expect(exempt?.connections.map(({ source }) => source.port)).toEqual(
    Array.from({ length: 16 }, (_, index) => 1004 + index),
  );
});

test("stored policies that can no longer be read are said, kept, and in nobody's way", async () => {
  const first = await openRepository();
  const number = first.store.prepare({
    appliedMs: 0,
    management: true,
    pin: false,
    documents: [
      { kind: "CiliumNetworkPolicy", name: "default/old", text: "old: 1", audit: false, appliedMs: 0 },
    ],
  });
  first.store.settle(number, "confirmed", 0);
  const { repository, ports, logged } = await first.reboot();
  expect(ports()).toBeUndefined();
  expect(logged.join("")).toContain("the stored policies cannot be read");
  expect(repository.status().off?.reason).toContain("default/old");
  await expect(repository.apply(request(policyText("a", 80)))).rejects.toMatchObject({
    code: "X0_FLOWS_POLICY_MALFORMED",
  });
  await repository.remove(["default/old"], undefined);
  await repository.apply(request(policyText("a", 80)));
  expect(ports()).toEqual([80]);
});
