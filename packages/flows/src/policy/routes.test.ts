import type { Connection, Route } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { policyRoutes } from "./routes.ts";
import { config, openRepository, policyText } from "./testing/open-repository.ts";

async function opened() {
  const fixture = await openRepository();
  const routes = policyRoutes({ config, opened: () => fixture });
  const ask = async (name: string, input: unknown = {}, connection?: Connection): Promise<unknown> => {
    const route = routes.find(({ path }) => path === `/api/v1/policy${name}`) as Route;
    const answer = await route.handle({
      query: route.query?.parse(input) ?? {},
      body: route.body?.parse(input),
      signal: new AbortController().signal,
      ...(connection === undefined ? {} : { connection }),
    });
    // What leaves is what the document of the API says.
    expect(route.response.parse(answer)).toEqual(answer);
    return answer;
  };
  return { ...fixture, ask };
}

const apply = { files: [{ name: "a.yaml", text: policyText("a", 80) }] };

test("each answer is of the shape that the API's document says", async () => {
  const { ask, kernel } = await opened();
  expect(await ask("")).toMatchObject({ state: { generation: null, waiting: null }, documents: [] });
  await ask("/apply", { ...apply, confirmWithinSeconds: 60 });
  expect(await ask("/state")).toMatchObject({ generation: 1, waiting: { secondsLeft: 60 } });
  await ask("/confirm");
  kernel.rules = [
    { id: 3, decision: "deny", flows: 1, packets: 2, bytes: 3 },
    { id: 4, decision: "allow", flows: 4, packets: 5, bytes: 6 },
    { id: 99, decision: "allow", flows: 1, packets: 1, bytes: 1 },
  ];
  expect(await ask("/figures")).toEqual({
    rules: [
      {
        id: 4,
        policy: "default/a",
        path: "spec.ingress[0]",
        decision: "allow",
        flows: 4,
        packets: 5,
        bytes: 6,
      },
      { id: 3, policy: "default/a", path: "spec.ingress", decision: "deny", flows: 1, packets: 2, bytes: 3 },
    ],
  });
  expect(await ask("/document", { name: "default/a" })).toMatchObject({
    text: policyText("a", 80),
    selects: { thisNode: true, nodes: ["edge-1", "edge-2"], workloads: [] },
    sections: [{ path: "spec.ingress", direction: "ingress", rules: 1, defaultDeny: true }],
    figures: [{ id: 4 }, { id: 3 }],
  });
  await ask("/delete", { names: ["default/a"] });
  await ask("/reset");
  expect(await ask("/generations")).toMatchObject({
    generations: [{ generation: 3 }, { generation: 2 }, { generation: 1, state: "confirmed" }],
  });
});

test("the connection of a request stays, unless it does not leave this host or another one is named", async () => {
  const { ask, kernel } = await opened();
  const exempted = () => kernel.swaps.at(-1)?.exempt.connections.map(({ source }) => source);
  const local = { ip: "::ffff:10.0.0.1", port: 4280 };
  await ask("/apply", apply, { local, remote: { ip: "::ffff:127.0.0.1", port: 1000 } });
  expect(exempted()).toEqual([]);
  await ask("/apply", apply, { local, remote: { ip: "::ffff:192.0.2.7", port: 1001 } });
  expect(exempted()).toEqual([{ ip: "192.0.2.7", port: 1001 }]);
  const session = { source: { ip: "192.0.2.8", port: 1002 }, destination: { ip: "10.0.0.1", port: 22 } };
  await ask("/apply", { ...apply, session }, { local, remote: { ip: "2001:db8::1", port: 1003 } });
  expect(exempted()).toEqual([
    { ip: "192.0.2.7", port: 1001 },
    { ip: "192.0.2.8", port: 1002 },
  ]);
});

test("the matrix says who may reach the node, with the rules that decide", async () => {
  const { ask } = await opened();
  expect(await ask("/matrix")).toEqual({
    direction: "ingress",
    endpoint: "edge-1",
    endpoints: ["edge-1"],
    matrix: null,
  });
  await ask("/apply", apply);
  expect(await ask("/matrix")).toMatchObject({
    matrix: {
      peers: [
        { kind: "member", name: "edge-2", prefixes: ["10.0.0.2/32"] },
        { kind: "world", name: "world" },
      ],
      ports: expect.arrayContaining([{ protocol: "tcp", first: 80, last: 80, isRest: false }]),
      verdicts: expect.arrayContaining([
        expect.objectContaining({ policy: "default/a", path: "spec.ingress[0]", decision: "allow" }),
        expect.objectContaining({ policy: "default/a", path: "spec.ingress", decision: "deny" }),
        { id: 1, policy: "", path: "management", decision: "allow" },
      ]),
      leftOut: { peers: 0, ports: 0 },
    },
  });
  expect(await ask("/matrix", { direction: "egress" })).toMatchObject({ matrix: null });
  await expect(ask("/matrix", { endpoint: "nobody" })).rejects.toThrow("no workload here is named nobody");
});

test("documents are checked without an effect, and what is applied is looked through", async () => {
  const { ask, kernel } = await opened();
  const strange = policyText("b", 80).replace("{}", "{matchLabels: {role: nobody}}");
  expect(await ask("/check", { files: [{ name: "b.yaml", text: strange }] })).toMatchObject({
    valid: true,
    documents: [{ name: "default/b", selects: { thisNode: false, nodes: [], workloads: [] } }],
    problems: [{ severity: "warning", file: "b.yaml", path: "spec.endpointSelector" }],
  });
  const wrong = policyText("b", 80).replace("ingress", "ingres");
  expect(await ask("/check", { files: [{ name: "b.yaml", text: wrong }] })).toMatchObject({
    valid: false,
    documents: [],
    problems: [{ path: "spec" }, { severity: "malformed", line: 7, path: "spec.ingres" }],
  });
  const empty = { files: [{ name: "none.yaml", text: "# nothing" }] };
  expect(await ask("/check", empty)).toMatchObject({
    valid: true,
    problems: [{ severity: "warning", file: "none.yaml", message: "holds no document" }],
  });
  await expect(ask("/apply", empty)).rejects.toMatchObject({ code: "X0_FLOWS_POLICY_MALFORMED" });
  expect(await ask("/generations")).toEqual({ generations: [] });
  expect(kernel.swaps).toEqual([]);
  expect(await ask("/warnings")).toEqual({ warnings: [] });
  await ask("/apply", { files: [{ name: "b.yaml", text: strange }] });
  expect(await ask("/warnings")).toMatchObject({
    warnings: [{ policy: "default/b", path: "spec.endpointSelector" }],
  });
});
