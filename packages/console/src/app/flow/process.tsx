import { category, service } from "../services.ts";
import type { FlowProcess } from "../shapes.ts";
import { visible } from "../visible.ts";
import { Fact } from "./fact.tsx";

interface Props {
  readonly title: string;
  readonly process: FlowProcess | null;
  /** Said where there is none. */
  readonly none: string;
}

/** The process at one end, with the unit and the container it runs in. */
export function Process({ title, process, none }: Props) {
  if (process === null)
    return (
      <div class="sec">
        <h3>{title}</h3>
        <p class="dim">{none}</p>
      </div>
    );
  const { key, label } = service(process);
  return (
    <div class="sec">
      <h3>{title}</h3>
      <dl class="facts">
        <Fact name="service" text={label}>
          <i class={`sw s${category(key)}`} />
          {visible(label)}
        </Fact>
        <Fact name="name" text={process.comm} />
        <Fact name="pid" text={String(process.pid)} mono />
        {process.executable !== null && <Fact name="executable" text={process.executable} mono />}
        {process.unit !== null && <Fact name="unit" text={process.unit} mono />}
        {process.container !== null && <Fact name="container" text={process.container} mono />}
        {process.cgroup !== null && <Fact name="cgroup" text={process.cgroup} mono />}
      </dl>
    </div>
  );
}
