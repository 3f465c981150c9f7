/** What a flow can be known to speak; apart from the schema of flows, which the worker threads need not load. */
export const applications = ["dns", "tls", "quic", "http", "postgresql", "mysql", "redis"] as const;

export type Application = (typeof applications)[number];
