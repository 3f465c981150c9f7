/**
 * Policy as a part of the node: keeps what is applied, and puts it in force through the part that captures. Where that
 * cannot be, policies are still stored, listed and checked, and it is said why they are not enforced.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Feature,
  type Health,
  messageOf,
  type Part,
  type PartContext,
  type PartDefinition,
} from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import { stateAnswer } from "./answers.ts";
import { policyCommands } from "./command/command.ts";
import type { ThreadedCompiler } from "./compiler/thread.ts";
import { type PolicyConfig, policyConfigSchema } from "./config.ts";
import { enforcementService, enforcementSettings } from "./enforce/service.ts";
import { createPolicyMetrics } from "./metrics.ts";
import type { NameFigures } from "./names/contract.ts";
import { nameFeature } from "./names/feature.ts";
import type { NameStore } from "./names/name-store.ts";
import { rehearsalRoutes } from "./rehearse/routes.ts";
import { recordedTraffic } from "./rehearse/service.ts";
import type { Repository, RepositoryStatus } from "./repository.ts";
import { policyRoutes } from "./routes.ts";
import type { PolicyStore } from "./store/store.ts";
import { watchWorkloads } from "./workloads/registry.ts";
import { hostAddresses, worldOf } from "./world.ts";

/** How late a new address or a passed deadline may be noticed here; the kernel falls back at the deadline itself. */
const REFRESH_MS = 1000;
/** Figures of ten thousand rules take some milliseconds to fetch. */
const FIGURES_EACH = 5;

export const policyPart: PartDefinition<PolicyConfig> = {
  name: "policy",
  summary: "Network policies: who may speak to whom",
  config: policyConfigSchema,
  create: createPolicyPart,
  async *doctor() {
    const missing = (await import("../privilege.ts")).missingPrivilege();
    const subject = "enforcement";
    if (missing === undefined) yield { subject, outcome: "works", detail: "packets can be judged" };
    else
      yield {
        subject,
        outcome: "off",
        detail: `policies are stored and checked, not enforced: ${missing.reason}`,
        ...(missing.hint === undefined ? {} : { hint: missing.hint }),
      };
  },
  commands: policyCommands,
};

function createPolicyPart({
  clock,
  config,
  dataDirectory,
  log,
  metrics,
  services,
}: PartContext<PolicyConfig>): Part {
  services.provide(enforcementSettings, { maxConnections: config.max_connections });
  const figures = createPolicyMetrics(metrics);
  const workloads = watchWorkloads(config.workloads, clock.nowMs);
  let running:
    | {
        readonly repository: Repository;
        readonly store: PolicyStore;
        readonly names: NameStore;
        readonly compiler: ThreadedCompiler;
      }
    | undefined;
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> = Promise.resolve();
  let rounds = 0;
  /** As of the latest look. */
  let nameFigures: NameFigures | undefined;

  const opened = (): NonNullable<typeof running> => {
    if (running !== undefined) return running;
    throw flowsFail("X0_FLOWS_POLICY_OFF", "policies are not open", { hint: "x0 doctor" });
  };
  const measure = async (): Promise<void> => {
    const { repository, store } = opened();
    const counted = rounds++ % FIGURES_EACH === 0 ? await repository.figures() : undefined;
    figures.take(stateAnswer(repository.status(), counted), counted, store.ruleOf);
    nameFigures = counted?.names ?? nameFigures;
  };
  /** One round at a time, each a while after the one before. */
  const follow = (): void => {
    timer = setTimeout(() => {
      round = (async () => {
        try {
          await running?.repository.refresh();
          if (running !== undefined) await measure();
        } catch (error) {
          log.error("policies could not follow the world", { reason: messageOf(error) });
        }
        if (running !== undefined) follow();
      })();
    }, REFRESH_MS);
    timer.unref();
  };

  return {
    async start() {
      // Needed by a running agent only, not by the configuration or the help.
      const [{ createRepository }, { threadedCompiler }, { openPolicyStore }, { openNameStore }] =
        await Promise.all([
          import("./repository.ts"),
          import("./compiler/thread.ts"),
          import("./store/store.ts"),
          import("./names/name-store.ts"),
        ]);
      const folder = join(dataDirectory, "policy");
      mkdirSync(folder, { recursive: true, mode: 0o750 });
      const store = openPolicyStore(join(folder, "policy.db"));
      const names = openNameStore(join(folder, "names.db"));
      const compiler = threadedCompiler(config);
      const repository = createRepository({
        config,
        store,
        names,
        compiler,
        enforcement: services.find(enforcementService),
        world: (looksAnew) =>
          worldOf(config, { addresses: hostAddresses(), workloads: workloads(looksAnew), names: () => [] }),
        clock,
        log,
      });
      running = { repository, store, names, compiler };
      await repository.start();
      await measure();
      follow();
    },
    async stop() {
      const ended = running;
      running = undefined;
      clearTimeout(timer);
      await round;
      await ended?.compiler.stop();
      ended?.store.close();
      ended?.names.close();
    },
    health: () => healthOf(running?.repository.status(), nameFigures),
    routes: [
      ...policyRoutes({ config, opened }),
      ...rehearsalRoutes({
        config,
        nowMs: () => clock.nowMs(),
        opened,
        recorded: () => services.find(recordedTraffic),
      }),
    ],
  };
}

function healthOf(status: RepositoryStatus | undefined, names: NameFigures | undefined): Health {
  const name = "enforcement";
  if (status === undefined)
    return { state: "off", features: [{ name, state: "off", reason: "it has not started" }] };
  const { held, waiting, off } = status;
  const shown = waiting?.held ?? held;
  const documents = shown?.stored.documents ?? [];
  const audit = documents.filter((document) => document.audit).length;
  const count = `${documents.length} ${documents.length === 1 ? "document" : "documents"}`;
  const feature = featureOf();
  const hasNames = (shown?.compiled?.tables.automaton.length ?? 0) > 0;
  if (off !== undefined || !hasNames || names === undefined)
    return { state: feature.state, features: [feature] };
  const named = nameFeature(names);
  return { state: feature.state === "on" ? named.state : feature.state, features: [feature, named] };

  function featureOf(): Feature {
    if (off !== undefined)
      return {
        name,
        // Nothing is lost where nothing is applied.
        state: documents.length === 0 ? "off" : "degraded",
        reason: documents.length === 0 ? off.reason : `${count} stored, not in force: ${off.reason}`,
        ...(off.hint === undefined ? {} : { hint: off.hint }),
      };
    if (shown === undefined || documents.length === 0)
      return { name, state: "on", detail: "no policy is applied", hint: "x0 policy apply FILE" };
    const told = `generation ${shown.stored.number}: ${count}${audit === 0 ? "" : `, ${audit} in audit`}`;
    if (waiting === undefined) return { name, state: "on", detail: told };
    return {
      name,
      state: "on",
      detail: `${told}; falls back in ${Math.ceil(waiting.leftMs / 1000)} s`,
      hint: "x0 policy confirm keeps it",
    };
  }
}
