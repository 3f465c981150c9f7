// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_bench"] as const;
export const mapNames = ["flows","events","totals","owners","processes","fragments","services","unobserved","namespaces","turns","drops"] as const;
export const blobSections = { dataBytes: 19440, instructionBytes: 3456 } as const;
