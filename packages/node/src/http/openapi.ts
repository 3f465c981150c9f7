import type { AnyRoute, StreamRoute } from "@x0tta6bl4/core";
import { z } from "zod";
import { failureSchema } from "./failure.ts";

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document, from the very schemas that check requests; its schema dialect is JSON Schema 2020-12. */
export function openApi(routes: readonly AnyRoute[], version: string): Json {
  const paths: Record<string, Json> = {
    "/healthz": { get: plain("Whether the process answers.", "text/plain", ["200"]) },
    "/readyz": {
      get: plain("Whether every part has started and none has failed.", "text/plain", ["200", "503"]),
    },
    "/metrics": { get: plain("Prometheus text format 0.0.4, or OpenMetrics 1.0.0.", "text/plain", ["200"]) },
  };
  for (const route of routes) {
    const method = route.kind === "json" ? route.method.toLowerCase() : "get";
    paths[route.path] = { ...paths[route.path], [method]: operation(route) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "x0tta6bl4 agent", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "/" }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "the token in the data folder" },
      },
      schemas: { Failure: schemaOf(failureSchema, "output") },
    },
    security: [{ bearer: [] }],
  };
}

function operation(route: AnyRoute): Json {
  const { properties = {}, required = [] } =
    route.query === undefined
      ? {}
      : (schemaOf(route.query, "input") as { properties?: Json; required?: string[] });
  return {
    summary: route.summary,
    ...(route.access === "open" ? { security: [] } : {}),
    parameters: Object.entries(properties).map(([name, schema]) => ({
      name,
      in: "query",
      required: required.includes(name),
      schema,
    })),
    ...(route.kind === "json" && route.body !== undefined
      ? { requestBody: { required: true, content: json(schemaOf(route.body, "input")) } }
      : {}),
    responses: {
      200: {
        description: "OK",
        content: contentOf(route),
      },
      default: { description: "Refused or failed", content: json({ $ref: "#/components/schemas/Failure" }) },
    },
  };
}

function contentOf(route: AnyRoute): Json {
  if (route.kind === "json") return json(schemaOf(route.response, "output"));
  if (route.kind === "stream") return events(route);
  return { [route.contentType]: { schema: { type: "string", format: "binary" } } };
}

function json(schema: Json): Json {
  return { "application/json": { schema } };
}

function events(route: StreamRoute): Json {
  const described = Object.entries(route.events).map(([event, data]) => ({
    type: "object",
    properties: { event: { const: event }, data: schemaOf(data, "output") },
    required: ["event", "data"],
  }));
  return {
    "text/event-stream": {
      schema: { description: "one event; data is one JSON document", oneOf: described },
    },
  };
}

function plain(summary: string, type: string, statuses: readonly string[]): Json {
  const response = { description: "see the summary", content: { [type]: { schema: { type: "string" } } } };
  return {
    summary,
    security: [],
    responses: Object.fromEntries(statuses.map((status) => [status, response])),
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
