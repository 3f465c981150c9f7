// Written by `npm run generate` from packages/flows/bpf. Do not edit.

export const programNames = ["x0_ingress","x0_egress","x0_ingress_cb","x0_egress_cb","x0_socket","x0_connect4","x0_connect6","x0_sendmsg4","x0_sendmsg6","x0_connection","x0_sockets","x0_dropped"] as const;
export const mapNames = ["fragments","flows","events","totals","owners","processes","services","unobserved","namespaces","turns","drops","harmless"] as const;
export const blobSections = { dataBytes: 158984, instructionBytes: 9320 } as const;
