import { errorsOf, type Fail } from "@x0tta6bl4/core";

export const telemetryErrors = {
  X0_TELEMETRY_METRIC_CONFLICT: {
    when: "Two different metrics were defined under one name: an error in the program.",
    exit: 1,
  },
} as const;

export const telemetryFail: Fail<typeof telemetryErrors> = errorsOf(telemetryErrors);
