/** Sockets of workloads that meet over loopback, against the oracle: equal verdict and rule at both ends. */
import { closeSync, mkdirSync, openSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Random, seededRandom } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import {
  createCgroup,
  createNamespace,
  type Knock,
  type Place,
  requireKernel,
  type Script,
  startScript,
  type WorkloadSocketsContract,
} from "../../../../../test/lab/index.ts";
import { parseAddress } from "../../address.ts";
import { connectionKeyLayout, connectionLayout, flowLayout } from "../../generated/layout.ts";
import { attachType, createLink, mapAccess } from "../../kernel/bpf.ts";
import {
  fitOutFlowTable,
  flowTableMaps,
  flowTableSizes,
  openKernelFlows,
  WHOLE_WORDS,
} from "../../kernel/flow-table.ts";
import { openLibc } from "../../kernel/libc.ts";
import { loadObject } from "../../kernel/load.ts";
import { openNamespace } from "../../kernel/namespaces.ts";
import { shippedPrograms } from "../../kernel/programs.ts";
import { compile } from "../compile/compile.ts";
import { encode } from "../compile/encode.ts";
import { writeTupleKey } from "../enforce/connections.ts";
import { openGenerations } from "../enforce/generations.ts";
import { readVerdict } from "../enforce/verdict.ts";
import { evaluateManaged } from "../managed.ts";
import {
  type Direction,
  NODE_ENDPOINT,
  type PolicySet,
  policyProtocols,
  type Verdict,
  type World,
} from "../model.ts";
import { one, some } from "../testing/choose.ts";
import { randomSet } from "../testing/random-set.ts";
import { labelsOf } from "../testing/vocabulary.ts";
import { openMembership } from "./membership.ts";

const POLICIES = 60;
const KNOCKS = 50;
const MOST_FLOWS = 16_384;
/** At edges of the random policies' ranges. */
const ports = [22, 53, 80, 81, 443, 1023, 1024, 8080];
const addresses = ["127.0.0.1", "10.0.0.1", "192.0.2.1", "::1", "2001:db8::1"];
const bytesOf = (text: string): Uint8Array => parseAddress(text) as Uint8Array;
/** Of three workloads, and of a process that belongs to none. */
const owners = [1, 2, 3, undefined] as const;
const ownerOf = (port: number): number | undefined => owners[ports.indexOf(port) % owners.length];

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf", "tcx", "cgroup2"));

test("equal verdict and rule at both ends", { timeout: 120_000 }, async () => {
  await using host = await createNamespace();
  for (const address of addresses.filter((text) => text !== "127.0.0.1" && text !== "::1"))
    await host.exec(["ip", "address", "add", address, "dev", "lo"]);
  await using slice = createCgroup();
  const folders = owners.map((owner) => join(slice.path, owner === undefined ? "none" : `w${owner}.service`));
  const decided = { allow: 0, audit: 0, deny: 0 };
  let peersTold = 0;
  {
    await using stack = new AsyncDisposableStack();
    for (const folder of folders) {
      mkdirSync(folder);
      stack.defer(() => rmdirSync(folder));
    }
    const processes: Script<WorkloadSocketsContract>[] = [];
    for (const [index, folder] of folders.entries()) {
      const inside: Place = {
        enter: (command) => ["sh", "-c", 'echo $$ >"$0" && exec "$@"', `${folder}/cgroup.procs`, ...command],
      };
      const script = await startScript<WorkloadSocketsContract>(
        new URL("../../../../../test/lab/children/workload-sockets.ts", import.meta.url),
        ports.filter((port) => ownerOf(port) === owners[index]),
        { places: [host, inside] },
      );
      processes.push(stack.use(script));
    }
    using kernel = openKernel(host.path, slice.path, folders);
    let port = 10_000;
    for (let seed = 1; seed <= POLICIES; seed++) {
      const random = seededRandom(seed);
      const world = randomWorld(random);
      const { set } = randomSet(random);
      kernel.apply(world, set);
      const knocks = Array.from({ length: KNOCKS }, () => {
        const to = one(random, addresses);
        const from = one(
          random,
          addresses.filter((text) => text.includes(":") === to.includes(":")),
        );
        const client = one(random, owners);
        const knock: Knock = {
          protocol: one(random, ["tcp", "udp"]),
          from,
          fromPort: ++port,
          to,
          toPort: one(random, ports),
        };
        return { client, knock };
      });
      await Promise.all(
        owners.map((owner, index) =>
          make(
            processes[index] as Script<WorkloadSocketsContract>,
            knocks.filter(({ client }) => client === owner).map(({ knock }) => knock),
          ),
        ),
      );
      for (const { client, knock } of knocks) {
        const server = ownerOf(knock.toPort);
        const ask = (endpoint: number, direction: Direction, workload: number | undefined): Verdict =>
          evaluateManaged(set, world, undefined, {
            endpoint,
            direction,
            peer: { address: bytesOf(direction === "egress" ? knock.to : knock.from), workload },
            protocol: policyProtocols[knock.protocol],
            port: knock.toPort,
          });
        const leaving = client === undefined ? undefined : ask(client, "egress", server);
        // The node's policy knows its own addresses as the host.
        const device = ask(NODE_ENDPOINT, "egress", undefined);
        const isStopped = leaving?.decision === "deny" || device.decision === "deny";
        const arriving = server === undefined || isStopped ? undefined : ask(server, "ingress", client);
        for (const [endpoint, wanted] of [
          [client, leaving],
          [server, arriving],
        ] as const) {
          if (endpoint === undefined || wanted === undefined) continue;
          // Delivery may be left to another thread of the kernel where there is much of it.
          await expect
            .poll(() => kernel.verdict(knock, endpoint), {
              timeout: 10_000,
              message: JSON.stringify({ seed, client, endpoint, knock }),
            })
            .toEqual(wanted);
          decided[wanted.decision]++;
          if (client !== undefined && server !== undefined) peersTold++;
        }
        if (isStopped && server !== undefined && server !== client)
          expect(kernel.isLetIn(knock, server)).toBe(false);
      }
    }
  }
  expect(peersTold).toBeGreaterThan((POLICIES * KNOCKS) / 4);
  for (const count of Object.values(decided)) expect(count).toBeGreaterThan(peersTold / 50);
});

async function make(script: Script<WorkloadSocketsContract>, knocks: readonly Knock[]): Promise<void> {
  if (knocks.length === 0) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  script.on(() => resolve());
  script.order(knocks);
  await promise;
}

function randomWorld(random: Random): World {
  return {
    node: { name: "self", labels: { "reserved:host": "" }, addresses: addresses.map(bytesOf) },
    members: some(random, 0, 2, (index) => ({
      name: `member-${index}`,
      labels: { ...labelsOf(random), "reserved:remote-node": "" },
      addresses: [bytesOf(`10.0.0.${index + 2}`)],
    })),
    workloads: [1, 2, 3].map((endpoint) => ({
      endpoint,
      name: `w${endpoint}.service`,
      labels: labelsOf(random),
    })),
    names: () => [],
  };
}

/** The shipped programs before the sockets of a slice and at loopback. */
function openKernel(namespace: string, slice: string, folders: readonly string[]) {
  const libc = openLibc();
  using closing = new DisposableStack();
  const loaded = closing.adopt(
    loadObject(libc, shippedPrograms(), {
      maxEntries: flowTableSizes(MOST_FLOWS),
      programs: ["x0_egress", "x0_socket_in", "x0_socket_out"],
    }),
    (all) => all.close(),
  );
  const { maps, programs } = loaded;
  fitOutFlowTable(libc, maps.table, MOST_FLOWS);
  const flows = closing.adopt(openKernelFlows(libc, flowTableMaps(maps), MOST_FLOWS), (table) =>
    table.close(),
  );
  const inside = closing.adopt(openNamespace(libc, namespace), (opened) => opened.close());
  const folder = closing.adopt(openSync(slice, "r"), closeSync);
  const links = [
    inside.run(() => createLink(libc, programs.x0_egress, 1, attachType.tcxEgress)),
    createLink(libc, programs.x0_socket_in, folder, attachType.socketIngress),
    createLink(libc, programs.x0_socket_out, folder, attachType.socketEgress),
  ];
  for (const link of links) closing.defer(() => libc.close(link));
  expect(links.every((link) => link >= 0)).toBe(true);
  const generations = closing.adopt(
    openGenerations(libc, maps, () => 0),
    (opened) => opened.close(),
  );
  const membership = closing.adopt(openMembership(libc, maps, "/"), (opened) => opened.close());
  membership.write(
    folders.flatMap((path, index) => {
      const endpoint = owners[index];
      return endpoint === undefined ? [] : [{ endpoint, path, cgroup: statSync(path).ino, isJudged: true }];
    }),
  );
  const access = mapAccess(libc);
  const key = closing.adopt(libc.allocate(connectionKeyLayout.size), (memory) => memory.free());
  const value = closing.adopt(libc.allocate(connectionLayout.size), (memory) => memory.free());
  const words = new Uint32Array(key.bytes.buffer, 0, connectionKeyLayout.size / 4);
  const flow = new Uint32Array(WHOLE_WORDS);
  const remembered = (
    { protocol, from, fromPort, to, toPort }: Knock,
    endpoint: number,
  ): number | undefined => {
    const source = { ip: from, port: fromPort };
    const destination = { ip: to, port: toPort };
    writeTupleKey({ protocol: policyProtocols[protocol], source, destination }, words, 0);
    words[connectionKeyLayout.endpoint / 4] = endpoint;
    return access.lookup(maps.connections, key, value) === 0
      ? value.view.getUint32(connectionLayout.verdict, true)
      : undefined;
  };
  const open = closing.move();
  return {
    apply(world: World, set: PolicySet) {
      generations.swap(encode(compile(set, world, undefined)), undefined, true);
    },
    /** Whether a connection is remembered that an endpoint's policy let pass. */
    isLetIn: (knock: Knock, endpoint: number): boolean => remembered(knock, endpoint) !== undefined,
    /** Of what passes as it is remembered, of what does not as the flow shows it. */
    verdict(knock: Knock, endpoint: number): Verdict | undefined {
      const known = remembered(knock, endpoint);
      if (known !== undefined) return decisionOf(known);
      flows.reach();
      const index = flows.find(words, 0);
      return index >= 0 && flows.copy(index, flow)
        ? decisionOf(flow[flowLayout.verdict / 4] as number)
        : undefined;
    },
    [Symbol.dispose]: () => open.dispose(),
  };
}

function decisionOf(word: number): Verdict | undefined {
  const { decision, id } = readVerdict(word);
  return decision === undefined ? undefined : { decision, id };
}
