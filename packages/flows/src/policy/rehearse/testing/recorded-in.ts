import type { History } from "../../../history/history.ts";
import { recordedNeeds } from "../recorded-needs.ts";
import { recordedOwners } from "../recorded-owners.ts";
import { rehearse } from "../rehearse.ts";
import type { RecordedTraffic } from "../service.ts";

/** A history that is asked without a thread between. */
export function recordedIn(history: History): RecordedTraffic {
  return {
    owners: (range, signal) => recordedOwners(history, range, signal),
    rehearse: (request, signal) => rehearse(history, { ...request, id: 0 }, signal),
    needs: (request, signal) => recordedNeeds(history, { ...request, id: 0 }, signal),
  };
}
