/** Between the texts that are stored and the set that is compiled. */
import { readFileSync } from "node:fs";
import type { X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import { type PolicyConfig, parsePort } from "./config.ts";
import { type Assembled, assemble } from "./language/assemble.ts";
import type { CidrGroup, PolicyDocument } from "./language/draft.ts";
import { namedPorts } from "./language/named-ports.ts";
import { parsePolicies } from "./language/parse.ts";
import { describeProblem, exitOf, type Problem } from "./language/problem.ts";
import type { PolicySet } from "./model.ts";
import type { StoredDocument } from "./store/store.ts";

export interface PolicyText {
  /** Shown in problems. */
  readonly name: string;
  readonly text: string;
}

type Parsed = PolicyDocument | CidrGroup;

export interface PolicyReader {
  /** Never throws for what the files hold. */
  parse(files: readonly PolicyText[]): {
    readonly parsed: readonly Parsed[];
    readonly problems: readonly Problem[];
  };
  /** @param audited names of policies that only tell their verdicts. */
  assemble(parsed: readonly Parsed[], audited: ReadonlySet<string>): Assembled;
  /** The documents of files, as they are stored. @throws X0_FLOWS_POLICY_MALFORMED, X0_FLOWS_POLICY_UNSUPPORTED */
  read(files: readonly PolicyText[], how: Pick<StoredDocument, "audit" | "appliedMs">): StoredDocument[];
  /** All of them together. @throws as `read` */
  setOf(documents: readonly StoredDocument[]): PolicySet;
}

export function createReader(config: PolicyConfig): PolicyReader {
  const ports = namedPorts(
    Object.fromEntries(
      Object.entries(config.named_ports).map(([name, place]) => {
        if (typeof place === "number") return [name, place];
        const { protocol, port } = parsePort(place);
        return [name, `${port}/${protocol}`];
      }),
    ),
    knownServices(),
  );
  /** What was parsed once; a document that stays is the same object. */
  const known = new WeakMap<StoredDocument, Parsed>();
  const parse: PolicyReader["parse"] = (files) => {
    const { policies, groups, problems } = parsePolicies(
      files.map(({ name, text }) => ({ name, content: text })),
      ports,
    );
    return { parsed: [...policies, ...groups], problems };
  };
  const parseWhole = (files: readonly PolicyText[]): readonly Parsed[] => {
    const { parsed, problems } = parse(files);
    if (exitOf(problems) !== 0) throw wrong(problems);
    return parsed;
  };
  const together: PolicyReader["assemble"] = (parsed, audited) =>
    assemble(
      parsed.filter((one) => "kind" in one),
      parsed.filter((one): one is CidrGroup => !("kind" in one)),
      { audited },
    );
  return {
    parse,
    assemble: together,
    read: (files, how) =>
      parseWhole(files).map((parsed) => {
        const document = { kind: kindOf(parsed), name: parsed.name, text: parsed.source, ...how };
        known.set(document, parsed);
        return document;
      }),
    setOf(documents) {
      const unread = documents.filter((document) => !known.has(document));
      for (const document of unread) {
        const [parsed] = parseWhole([{ name: document.name, text: document.text }]);
        if (parsed !== undefined) known.set(document, parsed);
      }
      const audited = documents
        .filter(({ audit, kind }) => audit && kind !== "CiliumCIDRGroup")
        .map(({ name }) => name);
      return together(
        documents.map((document) => known.get(document) as Parsed),
        new Set(audited),
      ).set;
    },
  };
}

function kindOf(parsed: Parsed): string {
  return "kind" in parsed ? parsed.kind : "CiliumCIDRGroup";
}

function wrong(problems: readonly Problem[]): X0Error {
  const [first, ...others] = problems.filter(({ severity }) => severity !== "warning") as [
    Problem,
    ...Problem[],
  ];
  const more = others.length === 0 ? "" : `; and ${others.length} more`;
  return flowsFail(
    exitOf(problems) === 1 ? "X0_FLOWS_POLICY_MALFORMED" : "X0_FLOWS_POLICY_UNSUPPORTED",
    `${describeProblem(first)}${more}`,
    { hint: "x0 policy check FILE lists all" },
  );
}

function knownServices(): string {
  try {
    return readFileSync("/etc/services", "utf8");
  } catch {
    // Then only configured names are known, and a missing one is said where it is used.
    return "";
  }
}
