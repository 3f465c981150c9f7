/** A host whose packets an agent judges, and what a test asks of it. */
import { setTimeout } from "node:timers/promises";
import { type Agent, type AgentOptions, type Places, startAgent } from "../lab/index.ts";

export interface ApplyOptions {
  readonly audit?: boolean;
  readonly management?: boolean;
  readonly confirmWithinSeconds?: number;
  readonly pin?: boolean;
}

export interface RuleFigures {
  readonly policy: string;
  readonly path: string;
  readonly decision: string;
  readonly flows: number;
  readonly packets: number;
}

interface PolicyList {
  readonly documents: readonly unknown[];
  readonly state: { readonly waiting: unknown };
}

export interface Guarded extends AsyncDisposable {
  readonly agent: Agent;
  /** The document `default/NAME` with one spec, in place of what it had. */
  apply(spec: string, options?: ApplyOptions, name?: string): Promise<void>;
  /** No policy at all. */
  lift(): Promise<void>;
  /** Resolves once nothing waits for its confirmation. @throws if something is in force */
  settled(): Promise<void>;
  /** Packets that the rule of the document `default/test` has decided so, or flows. */
  decided(path: string, decision: string, what?: "packets" | "flows"): Promise<number>;
  /** Resolves once it has decided more than so many. */
  decides(path: string, decision: string, moreThan: number, what?: "packets" | "flows"): Promise<void>;
}

export async function guard(
  places: Places,
  devices: number,
  { settings = [], ...options }: AgentOptions = {},
): Promise<Guarded> {
  const off = ["flows.hubble_listen=off", "flows.hubble_relay_listen=off", "policy.node_name=edge"];
  const agent = await startAgent({ ...options, places, settings: [...off, ...settings] });
  await agent.observes(devices);
  const decided: Guarded["decided"] = async (path, decision, what = "packets") => {
    const { rules } = await agent.get<{ rules: readonly RuleFigures[] }>("/api/v1/policy/figures");
    return rules
      .filter((rule) => rule.policy === "default/test" && rule.path === path && rule.decision === decision)
      .reduce((sum, rule) => sum + rule[what], 0);
  };
  return {
    agent,
    async apply(spec, applying = {}, name = "test") {
      const head = `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: ${name}}\n`;
      const files = [{ name: "test.yaml", text: `${head}spec: ${spec}\n` }];
      await agent.post("/api/v1/policy/apply", { files, ...applying });
    },
    async lift() {
      await agent.post("/api/v1/policy/reset", {});
    },
    async settled() {
      for (;;) {
        const { documents, state } = await agent.get<PolicyList>("/api/v1/policy");
        if (state.waiting !== null) await setTimeout(50);
        else if (documents.length > 0) throw new Error("the policy stays");
        else return;
      }
    },
    decided,
    async decides(path, decision, moreThan, what) {
      while ((await decided(path, decision, what)) <= moreThan) await setTimeout(50);
    },
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

/** One direction of a spec: nothing, or what goes to these ports. */
export function toPorts(...ports: readonly number[]): string {
  return ports.length === 0
    ? "[{}]"
    : `[{toPorts: [{ports: [${ports.map((port) => `{port: "${port}"}`).join(", ")}]}]}]`;
}
