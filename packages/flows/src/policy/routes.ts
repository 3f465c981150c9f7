import type { Connection, Route } from "@x0tta6bl4/core";
import type { z } from "zod";
import { flowsFail } from "../errors.ts";
import {
  admittedAnswer,
  documentAnswer,
  figuresAnswer,
  listAnswer,
  policiesIn,
  selectsName,
  stateAnswer,
} from "./answers.ts";
import { plainWorld } from "./compiler/compiled.ts";
import type { PolicyCompiler } from "./compiler/contract.ts";
import type { PolicyConfig } from "./config.ts";
import type { Tuple } from "./enforce/contract.ts";
import { exitOf } from "./language/problem.ts";
import { namesIn } from "./names/known.ts";
import type { NameStore } from "./names/name-store.ts";
import type { Repository } from "./repository.ts";
import {
  APPLY_BYTES,
  type ApplyBody,
  applySchema,
  type CheckedAnswer,
  changeSchema,
  checkedSchema,
  checkSchema,
  deleteSchema,
  documentQuerySchema,
  figuresSchema,
  generationsSchema,
  listSchema,
  matrixQuerySchema,
  matrixSchema,
  namesSchema,
  settledSchema,
  stateSchema,
  type WholeDocument,
  warningsSchema,
  wholeDocumentSchema,
} from "./schema.ts";
import type { PolicyStore } from "./store/store.ts";

const TCP = 6;
const SHOWN_GENERATIONS = 100;

interface PolicySources {
  readonly config: PolicyConfig;
  /** @throws X0_FLOWS_POLICY_OFF */
  opened(): {
    readonly repository: Repository;
    readonly store: PolicyStore;
    readonly names: NameStore;
    readonly compiler: PolicyCompiler;
  };
}

export function policyRoutes({ config, opened }: PolicySources): readonly Route[] {
  return [
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy",
      summary: "The policies that are applied, what each selects, and the state of enforcement",
      response: listSchema,
      async handle() {
        const { repository } = opened();
        return listAnswer(repository.status(), await repository.figures());
      },
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/document",
      summary: "One document: its text, what it selects and what its rules decided",
      query: documentQuerySchema,
      response: wholeDocumentSchema,
      handle: ({ query }) => whole(opened(), query as z.infer<typeof documentQuerySchema>),
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/state",
      summary: "What is in force, or waits for its confirmation, with the time that is left",
      response: stateSchema,
      async handle() {
        const { repository } = opened();
        return stateAnswer(repository.status(), await repository.figures());
      },
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/figures",
      summary: "What each rule decided since the agent's start",
      response: figuresSchema,
      async handle() {
        const { repository, store } = opened();
        return { rules: figuresAnswer(await repository.figures(), store.ruleOf) };
      },
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/names",
      summary: "The addresses that are admitted by names, and what became of queries and answers",
      response: namesSchema,
      async handle() {
        const { repository, names } = opened();
        const figures = await repository.figures();
        return {
          admitted: admittedAnswer(await repository.admitted(), names),
          figures: figures?.names ?? null,
        };
      },
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/generations",
      summary: "What was applied, confirmed and reverted, newest first",
      response: generationsSchema,
      handle: async () => ({
        generations: opened()
          .store.generations(SHOWN_GENERATIONS)
          .map(({ number, state, appliedMs, settledMs }) => ({
            generation: number,
            state,
            applied: new Date(appliedMs).toISOString(),
            settled: settledMs === undefined ? null : new Date(settledMs).toISOString(),
          })),
      }),
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/warnings",
      summary: "What is valid but probably not intended in the policies that are applied",
      response: warningsSchema,
      async handle() {
        const { repository } = opened();
        const names = namesIn(await repository.known());
        const { held, waiting, world } = repository.status();
        const [{ inspect }, { resolversOf }] = await Promise.all([
          import("./inspect.ts"),
          import("./resolvers.ts"),
        ]);
        const set = (waiting?.held ?? held)?.compiled?.set ?? { policies: [] };
        return { warnings: inspect(set, { ...world, names }, resolversOf(config)) };
      },
    },
    {
      kind: "json",
      method: "GET",
      path: "/api/v1/policy/matrix",
      summary: "Who may talk to the node or a workload, or whom it may talk to, by peers and ports",
      query: matrixQuerySchema,
      response: matrixSchema,
      async handle({ query }) {
        const { repository, store } = opened();
        const { matrixAnswer } = await import("./matrix-answer.ts");
        const known = await repository.known();
        return matrixAnswer(
          { ...repository.status(), known },
          config,
          query as z.infer<typeof matrixQuerySchema>,
          store.ruleOf,
        );
      },
    },
    {
      kind: "json",
      method: "POST",
      path: "/api/v1/policy/check",
      summary:
        "What is wrong with documents, whom they select, and what is valid but probably not intended; nothing is applied",
      body: checkSchema,
      maxBodyBytes: APPLY_BYTES,
      response: checkedSchema,
      async handle({ body }): Promise<CheckedAnswer> {
        const { files } = body as z.infer<typeof checkSchema>;
        const { repository, compiler } = opened();
        const known = await repository.known();
        const world = plainWorld(repository.status().world);
        const { documents, problems } = await compiler.check({ files, world, known });
        return { valid: exitOf(problems) === 0, documents: [...documents], problems: [...problems] };
      },
    },
    {
      kind: "json",
      method: "POST",
      path: "/api/v1/policy/apply",
      summary: "Puts documents in force beside those that are, all or nothing",
      body: applySchema,
      maxBodyBytes: APPLY_BYTES,
      response: changeSchema,
      handle({ body, connection }) {
        const { files, audit, management, pin, confirmWithinSeconds, session } = body as ApplyBody;
        return opened().repository.apply({
          files,
          audit,
          management,
          pin,
          confirmWithinMs: confirmWithinSeconds === undefined ? undefined : confirmWithinSeconds * 1000,
          session: sessionOf(session, connection),
        });
      },
    },
    {
      kind: "json",
      method: "POST",
      path: "/api/v1/policy/delete",
      summary: "Takes documents out of force, all or none",
      body: deleteSchema,
      maxBodyBytes: APPLY_BYTES,
      response: changeSchema,
      handle({ body, connection }) {
        const { names, session } = body as z.infer<typeof deleteSchema>;
        return opened().repository.remove(names, sessionOf(session, connection));
      },
    },
    ...(["confirm", "revert"] as const).map(
      (verb): Route => ({
        kind: "json",
        method: "POST",
        path: `/api/v1/policy/${verb}`,
        summary:
          verb === "confirm"
            ? "Keeps what waits for its confirmation"
            : "Ends what waits for its confirmation",
        response: settledSchema,
        handle: async () => ({ generation: await opened().repository[verb]() }),
      }),
    ),
    {
      kind: "json",
      method: "POST",
      path: "/api/v1/policy/reset",
      summary: "Ends all policy, also what waits for its confirmation",
      response: changeSchema,
      handle: () => opened().repository.reset(),
    },
  ];
}

/** As the command said; else the connection of the request, unless it does not leave this host. */
function sessionOf(session: ApplyBody["session"], connection: Connection | undefined): Tuple | undefined {
  if (session !== undefined) return { protocol: TCP, ...session };
  if (connection === undefined || isLoopback(connection.remote.ip)) return undefined;
  const { remote, local } = connection;
  return { protocol: TCP, source: unmapped(remote), destination: unmapped(local) };
}

/** IPv4 on a socket that takes both. */
function unmapped({ ip, port }: Connection["local"]): Tuple["source"] {
  return { ip: ip.replace(/^::ffff:(?=[\d.]+$)/, ""), port };
}

function isLoopback(ip: string): boolean {
  return ip === "::1" || ip.replace(/^::ffff:/, "").startsWith("127.");
}

async function whole(
  { repository, store, names }: ReturnType<PolicySources["opened"]>,
  { name, kind }: z.infer<typeof documentQuerySchema>,
): Promise<WholeDocument> {
  const status = repository.status();
  const held = status.waiting?.held ?? status.held;
  const document = held?.stored.documents.find(
    (one) => one.name === name && (kind === undefined || one.kind === kind),
  );
  if (held === undefined || document === undefined)
    throw flowsFail("X0_FLOWS_POLICY_UNKNOWN", `no policy is named ${name}`, {
      hint: "x0 policy list names them",
    });
  const policy = policiesIn(held.compiled?.set)(document);
  const figures = figuresAnswer(await repository.figures(), store.ruleOf);
  return {
    ...documentAnswer(document, policy, status),
    text: document.text,
    figures: figures.filter(({ policy }) => policy === name),
    admitted: admittedAnswer(await repository.admitted(), names).filter((one) => selectsName(policy, one)),
  };
}
