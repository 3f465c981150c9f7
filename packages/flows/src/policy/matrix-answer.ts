/** The matrix in the words of the API. Loaded when it is asked for, with the language behind it. */
import { flowsFail } from "../errors.ts";
import type { PolicyConfig } from "./config.ts";
import { managementOf } from "./management.ts";
import { type Matrix, matrixOf } from "./matrix.ts";
import { type Direction, NODE_ENDPOINT, type Verdict } from "./model.ts";
import type { KnownAddress } from "./names/known.ts";
import type { RepositoryStatus } from "./repository.ts";
import type { MatrixAnswer } from "./schema.ts";
import type { RuleContent } from "./store/store.ts";

/** @throws X0_FLOWS_POLICY_UNKNOWN */
export function matrixAnswer(
  { held, waiting, world, known }: RepositoryStatus & { readonly known: readonly KnownAddress[] },
  config: PolicyConfig,
  { direction, endpoint: name = world.node.name }: { direction: Direction; endpoint?: string | undefined },
  ruleOf: (id: number) => Pick<RuleContent, "policy" | "path"> | undefined,
): MatrixAnswer {
  const workload = world.workloads.find((one) => one.name === name);
  if (workload === undefined && name !== world.node.name)
    throw flowsFail("X0_FLOWS_POLICY_UNKNOWN", `no workload here is named ${name}`, {
      hint: "GET /api/v1/policy/matrix names them",
    });
  const { stored, compiled } = waiting?.held ?? held ?? {};
  const found = matrixOf(compiled?.set ?? { policies: [] }, world, {
    endpoint: workload?.endpoint ?? NODE_ENDPOINT,
    direction,
    known,
    management: stored?.management === true ? managementOf(config) : undefined,
  });
  return {
    direction,
    endpoint: name,
    endpoints: [world.node.name, ...world.workloads.map((one) => one.name)],
    matrix: found === undefined ? null : toldMatrix(found, ruleOf),
  };
}

/** Each verdict once: many cells share the few that there are. */
function toldMatrix(
  { peers, ports, cells, leftOut }: Matrix,
  ruleOf: Parameters<typeof matrixAnswer>[3],
): NonNullable<MatrixAnswer["matrix"]> {
  const places = new Map<string, number>();
  const verdicts: NonNullable<MatrixAnswer["matrix"]>["verdicts"] = [];
  const placeOf = ({ id, decision }: Verdict): number => {
    const key = `${id} ${decision}`;
    const known = places.get(key);
    if (known !== undefined) return known;
    const { policy = "", path = "" } = ruleOf(id) ?? {};
    places.set(key, verdicts.length);
    return verdicts.push({ id, policy, path, decision }) - 1;
  };
  return {
    peers: peers.map((peer) => ({ ...peer, prefixes: [...peer.prefixes] })),
    ports: [...ports],
    verdicts,
    cells: cells.map((row) => row.map(placeOf)),
    leftOut,
  };
}
