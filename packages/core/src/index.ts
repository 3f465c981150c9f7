export type { Channel, ChannelContract, ChannelHandlers, ChannelServer } from "./channel.ts";
export { openChannel, serveChannel } from "./channel.ts";
export type { AgentClient, CliContext } from "./cli.ts";
export type { Clock } from "./clock.ts";
export { systemClock } from "./clock.ts";
export type { ErrorKind, ErrorOptions, ErrorTable, ExitCode, Fail } from "./errors.ts";
export { coreErrors, coreFail, errorsOf, messageOf, X0Error } from "./errors.ts";
export { compactHeapSoon } from "./heap.ts";
export type { Log, LogFields, LogLevel, LogOptions } from "./log.ts";
export { createLog } from "./log.ts";
export type { Counter, Gauge, Histogram, Labels, MetricDefinition, Metrics } from "./metrics.ts";
export { nearest } from "./nearest.ts";
export type { DoctorEntry, Feature, Health, Part, PartContext, PartDefinition, State } from "./part.ts";
export type { ByteReader, ByteWriter } from "./protobuf.ts";
export {
  beginDelimited,
  byteWriter,
  endDelimited,
  MalformedMessage,
  readDelimited,
  readDouble,
  readVarint,
  reserve,
  skipField,
  wireType,
  writeBigVarint,
  writeDouble,
  writeString,
  writeVarint,
} from "./protobuf.ts";
export type { BoundedQueue } from "./queue.ts";
export { boundedQueue } from "./queue.ts";
export type { Random } from "./random.ts";
export { seededRandom } from "./random.ts";
export type {
  AnyRoute,
  BytesRoute,
  Connection,
  Route,
  RouteRequest,
  StreamEvent,
  StreamRoute,
} from "./route.ts";
export type { ServiceKey, Services } from "./services.ts";
export { createServices, serviceKey } from "./services.ts";
export { siblingModule } from "./sibling.ts";
export type { DatabaseOptions } from "./sqlite.ts";
export { databaseError, openDatabase } from "./sqlite.ts";
export { table } from "./table.ts";
export { jsonLine, printable } from "./terminal.ts";
export { formatBytes, formatCount, parseDuration, parseMoment, parseSize } from "./units.ts";
