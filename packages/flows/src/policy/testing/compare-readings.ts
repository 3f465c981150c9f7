/** Damaged files: each is refused with a place, or means to the language what it means to the second reading. */
import { type Random, seededRandom } from "@x0tta6bl4/core";
import { evaluate } from "../evaluate.ts";
import { assemble } from "../language/assemble.ts";
import { type ParsedPolicies, parsePolicies } from "../language/parse.ts";
import type { Attempt, PolicySet } from "../model.ts";
import { one } from "./choose.ts";
import { damagedText, damagedTree } from "./damaged-policies.ts";
import { decodeYaml, isAllowed } from "./second-reading.ts";
import { attemptOf, endpointNames, peerNames, smallWorld, testPorts } from "./small-world.ts";

export interface Comparison {
  readonly files: number;
  readonly refused: number;
  readonly compared: number;
  /** What must not be, each with its file. */
  readonly failures: readonly string[];
}

const protocols = [
  ...["tcp/80", "tcp/443", "tcp/22", "tcp/53", "tcp/8080", "tcp/8000", "tcp"],
  ...["udp/53", "udp/443", "udp", "sctp/80"],
  ...["icmp/8", "icmp/0", "icmp", "icmpv6/128", "icmpv6/2", "gre/0"],
];
const attempts: readonly Attempt[] = Object.keys(endpointNames).flatMap((endpoint) =>
  ["<", ">"].flatMap((arrow) =>
    peerNames.flatMap((peer) => protocols.map((what) => attemptOf(`${endpoint} ${arrow} ${peer} ${what}`))),
  ),
);

/** @param attemptsEach of each file that is taken. */
export function compareReadings(seed: number, files: number, attemptsEach = 60): Comparison {
  const random = seededRandom(seed);
  const failures: string[] = [];
  let refused = 0;
  let compared = 0;
  for (let count = 0; count < files; count++) {
    const text = random.below(2) === 0 ? damagedText(random) : damagedTree(random);
    const fail = (why: string): void => {
      failures.push(`${why}\n${text}`);
    };
    try {
      const parsed = parsePolicies([{ name: "damaged.yaml", content: text }], testPorts);
      const wrong = parsed.problems.filter(({ severity }) => severity !== "warning");
      if (wrong.length > 0) {
        refused++;
        const lines = text.split("\n").length;
        const hasPlace = wrong.every(
          ({ line, column, message }) => line >= 1 && line <= lines && column >= 1 && message !== "",
        );
        if (!hasPlace || parsed.policies.length + parsed.groups.length > 0)
          fail("refused without a place, or not whole");
        continue;
      }
      const { set } = assemble(parsed.policies, parsed.groups);
      if (!sourcesHold(parsed, set)) fail("the documents' own texts say something else");
      const decoded = decodeYaml(text);
      for (let n = 0; n < attemptsEach; n++) {
        const attempt = pick(random);
        compared++;
        const { decision } = evaluate(set, smallWorld, attempt);
        if ((decision === "allow") !== isAllowed(decoded, smallWorld, attempt))
          fail(`${decision}, and the second reading says otherwise: ${JSON.stringify(attempt)}`);
      }
    } catch (error) {
      fail(`threw ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  return { files, refused, compared, failures };
}

const pick = (random: Random): Attempt => one(random, attempts);

/** Each document's own text must be read as the same. */
function sourcesHold({ policies, groups }: ParsedPolicies, set: PolicySet): boolean {
  const files = [...policies, ...groups].map(({ source }, index) => ({ name: `${index}`, content: source }));
  const again = parsePolicies(files, testPorts);
  return JSON.stringify(assemble(again.policies, again.groups).set) === JSON.stringify(set);
}
