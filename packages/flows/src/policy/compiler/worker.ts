/** The thread that reads and compiles policies, so that the agent answers meanwhile. */
import { parentPort, workerData } from "node:worker_threads";
import { serveChannel } from "@x0tta6bl4/core";
import type { PolicyConfig } from "../config.ts";
import { createCompiler } from "./compiler.ts";
import type { CompilerContract } from "./contract.ts";

if (parentPort === null) throw new Error("this module is the entry of a worker thread");
const { config } = workerData as { readonly config: PolicyConfig };
serveChannel<CompilerContract>(parentPort, createCompiler(config));
