export type { Flow, FlowChange, FlowList, FlowProcess, FlowQuery } from "./flow.ts";
export { flowChangeSchema, flowListSchema, flowQuerySchema, flowSchema } from "./flow.ts";
