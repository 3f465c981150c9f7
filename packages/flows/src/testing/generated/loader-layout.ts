// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_many","x0_few","x0_field","x0_count","x0_inner","x0_missing"] as const;
export const mapNames = ["runs","by_number","by_place"] as const;
