// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_bench"] as const;
export const mapNames = ["buckets","flows","details","admitted","fragments","spares","table","events","totals","owners","processes","services","unobserved","namespaces","turns","drops","harmless","policy","generations","connections","exempt","automata","policy_counts","workspaces"] as const;
