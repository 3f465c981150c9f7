// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_bench"] as const;
export const mapNames = ["flows","events","totals","owners","processes","fragments","services","namespaces","turns","drops"] as const;
export const blobSections = { dataBytes: 19216, instructionBytes: 3224 } as const;
