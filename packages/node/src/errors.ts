import { errorsOf, type Fail } from "@x0tta6bl4/core";

export const nodeErrors = {
  X0_NODE_ALREADY_RUNNING: { when: "Another agent runs on the same data folder.", exit: 1 },
  X0_NODE_BAD_REQUEST: { when: "An HTTP request does not fit the schema of its route.", exit: 2 },
  X0_NODE_CONFIG_INVALID: { when: "A configured value does not fit its key.", exit: 2 },
  X0_NODE_CONFIG_SYNTAX: { when: "The configuration file is not TOML, or too large.", exit: 2 },
  X0_NODE_CONFIG_UNKNOWN: {
    when: "The configuration file, the environment or --set names a section or key that does not exist.",
    exit: 2,
  },
  X0_NODE_CONFIG_UNREADABLE: { when: "The configuration file that was asked for cannot be read.", exit: 2 },
  X0_NODE_DATA_FOLDER: { when: "The data folder cannot be created, read or written.", exit: 1 },
  X0_NODE_DOCTOR: { when: "`x0 doctor` found something that keeps `x0 up` from starting.", exit: 1 },
  X0_NODE_FORBIDDEN: {
    when: "A web page of another origin, or a rebound DNS name, sent the request.",
    exit: 3,
  },
  X0_NODE_INTERNAL: { when: "The agent failed on a request in a way that is its own error.", exit: 1 },
  X0_NODE_NOT_FOUND: { when: "The agent has nothing at this path.", exit: 2 },
  X0_NODE_NOT_LOOPBACK: { when: "The agent was told to listen beyond this machine.", exit: 2 },
  X0_NODE_NOT_READY: { when: "The agent is still starting or already stopping.", exit: 1 },
  X0_NODE_NO_AGENT: { when: "A command needs a running agent and none runs on the data folder.", exit: 1 },
  X0_NODE_PORT_IN_USE: { when: "Another program listens on the agent's port.", exit: 1 },
  X0_NODE_SOCKET: { when: "The agent's Unix socket cannot be created or reached.", exit: 1 },
  X0_NODE_SOCKET_DENIED: { when: "This user may not use the socket of the running agent.", exit: 3 },
  X0_NODE_UNAUTHORIZED: { when: "An HTTP request carries no token, or a wrong one.", exit: 3 },
  X0_NODE_USAGE: { when: "A command was called with wrong flags or arguments.", exit: 2 },
} as const;

export const nodeFail: Fail<typeof nodeErrors> = errorsOf(nodeErrors);
