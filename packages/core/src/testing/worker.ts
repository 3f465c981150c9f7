/** The far end of `channel.test.ts`. */
import { parentPort } from "node:worker_threads";
import { type ChannelContract, serveChannel } from "../channel.ts";
import { coreFail } from "../errors.ts";

export interface TestContract extends ChannelContract {
  readonly calls: {
    double(value: number): number;
    doubleLater(value: number): number;
    fill(size: number): { readonly bytes: Uint8Array; readonly big: bigint };
    failWithCode(hint: string | undefined): never;
    failPlainly(message: string): never;
    returnFunction(argument: undefined): unknown;
    emit(count: number): void;
    transfer(size: number): number;
    exit(code: number): Promise<never>;
    crash(thrown: unknown): Promise<never>;
  };
  readonly events: { readonly tick: number; readonly data: ArrayBuffer };
}

if (parentPort === null) throw new Error("this is a worker's module");
const never = new Promise<never>(() => {});
const server = serveChannel<TestContract>(parentPort, {
  double: (value) => 2 * value,
  doubleLater: (value) => new Promise((resolve) => setImmediate(() => resolve(2 * value))),
  fill: (size) => ({ bytes: new Uint8Array(size).fill(7), big: 2n ** 63n }),
  failWithCode: (hint) => {
    throw coreFail("X0_CORE_INVALID_QUANTITY", "seven is not a size", { hint });
  },
  failPlainly: (message) => {
    throw new TypeError(message);
  },
  returnFunction: () => () => {},
  emit: (count) => {
    for (let tick = 1; tick <= count; tick++) server.emit("tick", tick);
  },
  transfer: (size) => {
    const data = new ArrayBuffer(size);
    server.emit("data", data, [data]);
    return data.byteLength;
  },
  exit: (code) => {
    process.exit(code);
    return never;
  },
  crash: (thrown) => {
    setImmediate(() => {
      throw thrown;
    });
    return never;
  },
});
