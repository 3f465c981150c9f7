export { type Agent, type AgentOptions, startAgent } from "./agent.ts";
export { configMarkdown } from "./config/documents.ts";
export { type Config, type ConfigSources, loadConfig, type Setting } from "./config/load.ts";
export { findPlaces, type GlobalFlags, type Places } from "./config/places.ts";
export { type Section, sectionsOf } from "./config/sections.ts";
export { nodeErrors } from "./errors.ts";
export { type AgentHealth, agentHealthSchema } from "./health.ts";
export { loadParts, type PartEntry, parts } from "./parts.ts";
export { readVersion } from "./version.ts";
