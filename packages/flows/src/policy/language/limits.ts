/** What a file of policies may ask of the reader. */
export const policyLimits = {
  /** 10,000 rules of 200 bytes. The YAML library needs up to 4 s a megabyte. */
  fileBytes: 2 * 1024 * 1024,
  /** Documents of one file: one for each rule of a generated file, and room. */
  documents: 16_384,
  /** Nesting. Cilium's schema has 13 levels at most (L7 header matches); the composer calls itself for each. */
  depth: 40,
  /** Aliases (`*name`). They are for a label set written once, not for programs. */
  aliases: 1_000,
  /** Fields and items visited, those behind an alias each time anew: what bounds a billion laughs. */
  visits: 1_000_000,
  /** Rules of one file: three times what the kernel's tables are built to hold at their best speed. */
  rules: 32_768,
  /** Ports of one `toPorts` entry, as in Cilium (pkg/policy/api, maxPorts). */
  ports: 40,
  /** Types of one `icmps` entry, as in Cilium (pkg/policy/api, maxICMPFields). */
  icmpTypes: 40,
  /** Characters of `log.value`, as in Cilium's schema. */
  logCharacters: 32,
  /** Problems told of one file; who has more begins with these. */
  problems: 100,
} as const;
