// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_bench"] as const;
export const mapNames = ["flows","events","totals","owners","processes","fragments"] as const;
export const blobSections = { dataBytes: 16488, instructionBytes: 2296 } as const;
