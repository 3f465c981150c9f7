export { batchOf, type Recorded } from "../recording/from-flows.ts";
