/** What a client asks with GetFlows: numbers, times, filters and fields, checked before anything is answered. */

import { MalformedMessage } from "@x0tta6bl4/core";
import { decode, type Message } from "./codec.ts";
import { compileFilters, type FlowTest, RefusedFilter } from "./filter.ts";
import { GrpcError, status } from "./grpc.ts";
import { type FieldMask, parseMask } from "./mask.ts";
import { flowMessage, getFlowsRequest } from "./schema.ts";

/** Filters of a request: each is tried on every flow. The CLI sends two at most. */
const MAX_FILTERS = 64;

export interface FlowsRequest {
  /** 0 for no limit. */
  readonly number: number;
  readonly first: boolean;
  readonly follow: boolean;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly wanted: FlowTest | undefined;
  readonly mask: FieldMask | undefined;
}

/** @throws GrpcError that names the field which is wrong or has no meaning here */
export function parseFlowsRequest(bytes: Buffer): FlowsRequest {
  try {
    const values = decode(getFlowsRequest, bytes, { unknown: refuseUnknown });
    const { number = 0, first = false, follow = false, since, until } = values;
    const { whitelist = [], blacklist = [], field_mask, experimental } = values;
    if (first && follow) throw new RangeError("first and follow exclude each other");
    if (whitelist.length + blacklist.length > MAX_FILTERS)
      throw new RangeError(`a request has at most ${MAX_FILTERS} filters`);
    const paths = field_mask?.paths ?? experimental?.field_mask?.paths ?? [];
    const wanted = compileFilters(whitelist, blacklist);
    const mask = parseMask(flowMessage, paths);
    return { number, first, follow, sinceMs: since, untilMs: until, wanted, mask };
  } catch (error) {
    if (error instanceof RefusedFilter)
      throw new GrpcError(
        error.reason === "invalid" ? status.invalidArgument : status.unimplemented,
        error.message,
      );
    if (error instanceof MalformedMessage || error instanceof RangeError)
      throw new GrpcError(status.invalidArgument, error.message);
    throw error;
  }
}

/** A filter that is not known must not be taken for one that lets everything pass. */
function refuseUnknown({ name }: Message, number: number): void {
  if (name === "GetFlowsRequest") return;
  throw new GrpcError(status.unimplemented, `field ${number} of ${name} is not known here`);
}
