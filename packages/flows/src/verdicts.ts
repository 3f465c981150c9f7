/** What policy decided about a flow, in the order of records. Without zod: worker threads import it. */
export const verdicts = ["forwarded", "audit", "dropped"] as const;
