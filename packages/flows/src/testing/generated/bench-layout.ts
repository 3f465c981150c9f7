// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_bench"] as const;
export const mapNames = ["fragments","flows","events","totals","owners","processes","services","unobserved","namespaces","turns","drops","harmless"] as const;
export const blobSections = { dataBytes: 19616, instructionBytes: 3688 } as const;
