/**
 * Applies one generation after the other until it is killed: documents that all carry its number. Tells each
 * step before it takes it, and where it is told to, waits for a byte of its input.
 */
import { readSync, writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { join } from "node:path";
import { createLog, systemClock } from "@x0tta6bl4/core";
import { compilerHere } from "../compiler/compiler.ts";
import { policyConfigSchema } from "../config.ts";
import type { Enforcement } from "../enforce/service.ts";
import { openNameStore } from "../names/name-store.ts";
import { createRepository } from "../repository.ts";
import { openPolicyStore } from "../store/store.ts";
import { worldOf } from "../world.ts";
import { DOCUMENTS, portOf } from "./documents.ts";

const byte = new Uint8Array(1);

export interface Telling {
  tell(step: string): void;
  /** Each call of it is a step. */
  told<T extends object>(target: T, name: string): T;
}

export function telling(how: string): Telling {
  const tell = (step: string): void => {
    writeSync(1, `${step}\n`);
    if (how === "stepwise") readSync(0, byte);
  };
  return {
    tell,
    told: (target, name) =>
      new Proxy(target, {
        get(object, key) {
          const value: unknown = Reflect.get(object, key);
          if (typeof value !== "function" || key === "missing") return value;
          return (...values: unknown[]) => {
            tell(`${name}.${String(key)}`);
            return Reflect.apply(value, object, values) as unknown;
          };
        },
      }),
  };
}

export interface Forever {
  readonly folder: string;
  readonly enforcement: Enforcement;
  readonly pin: boolean;
}

export async function applyForever({ tell, told }: Telling, options: Forever): Promise<never> {
  // Node would do it at the end, which does not come.
  flushCompileCache();
  const config = policyConfigSchema.parse({});
  const store = openPolicyStore(join(options.folder, "policy.db"));
  const repository = createRepository({
    config,
    names: openNameStore(join(options.folder, "names.db")),
    store: told(store, "store"),
    compiler: compilerHere(config),
    enforcement: options.enforcement,
    world: () => worldOf(config, { addresses: [], workloads: [], names: () => [] }),
    clock: systemClock,
    log: createLog({ level: "error", format: "text", write: (line) => process.stderr.write(line) }),
  });
  await repository.start();
  const first = Number(/spec.*# (\d+)/.exec(store.confirmed()?.documents[0]?.text ?? "")?.[1] ?? 0) + 1;
  for (let number = first; ; number++) {
    const text = Array.from(
      { length: DOCUMENTS },
      (_, index) => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p${index}}
spec: {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "${portOf(number)}"}]}]}]} # ${number}
`,
    );
    tell(`begin ${number}`);
    const isHeld = number % 2 === 0;
    await repository.apply({
      files: [{ name: "all.yaml", text: text.join("---\n") }],
      audit: false,
      management: true,
      pin: options.pin,
      ...(isHeld ? { confirmWithinMs: 60_000 } : {}),
    });
    if (isHeld) await repository.confirm();
    tell(`done ${number}`);
  }
}
