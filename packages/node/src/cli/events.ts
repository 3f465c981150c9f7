import type { StreamEvent } from "@x0tta6bl4/core";
import { nodeFail } from "../errors.ts";

/** One event of the agent is a flow or a summary; anything near this is not our agent. */
const maxEventLength = 16 * 1024 * 1024;

/** Reads server-sent events (HTML Standard §9.2.6) whose data are JSON. @throws X0_NODE_SOCKET beyond the limit. */
export async function* readEvents(chunks: AsyncIterable<Buffer>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let event = "message";
  let data = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length + data.length > maxEventLength)
      throw nodeFail("X0_NODE_SOCKET", `the agent sent an event of more than ${maxEventLength} characters`);
    for (const line of lines) {
      if (line === "") {
        if (data !== "") yield { event, data: JSON.parse(data) as unknown };
        event = "message";
        data = "";
      } else if (line.startsWith("event: ")) event = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
  }
}
