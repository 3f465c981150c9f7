/** Hosts and services of the flows at hand as a drawing: who talks to whom, how much, and what is lost on the way. */
import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, count, exact } from "../format.ts";
import type { Filter } from "../query.ts";
import type { FlowRows } from "../rows.ts";
import { download, downloadText, standaloneSvg, svgPicture, token } from "../save.ts";
import { Tool } from "../tool.tsx";
import { visible } from "../visible.ts";
import { Drawing } from "./drawing.tsx";
import { type Graph, isService, type MapNode } from "./graph.ts";
import { EdgeTable, edgesCsv } from "./list.tsx";
import { useNarrow } from "./narrow.ts";
import { boxes, type MapSize, useGraph, usePlaces } from "./use-graph.ts";
import { useZoom, whole, zoomAt } from "./zoom.ts";

interface Props {
  readonly rows: FlowRows;
  readonly listed: boolean;
  readonly scope: string;
  readonly host: string | undefined;
  readonly size: MapSize;
  readonly selected: string | undefined;
  onSelect(key: string | undefined): void;
  onSize(size: MapSize): void;
  onFilter(filter: Filter): void;
}

export function ServiceMap({ rows, listed, scope, host, size, selected, onSelect, onSize, onFilter }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [space, setSpace] = useState({ width: 0, height: 0 });
  const room = { ...space, box: boxes[size] };
  const [held, setHeld] = useState(false);
  const narrow = useNarrow();
  // A list has room for more than a small drawing.
  const graph = useGraph(rows, listed, narrow ? "large" : size, held);
  const { places, move, tidy } = usePlaces(graph, room, host, size);
  const { zoom, svg, set } = useZoom();
  useEffect(() => {
    const element = frame.current as HTMLDivElement;
    const measure = (): void => {
      const { clientWidth: width, clientHeight: height } = element;
      setSpace((old) => (old.width === width && old.height === height ? old : { width, height }));
    };
    measure();
    const sized = new ResizeObserver(measure);
    sized.observe(element);
    return () => sized.disconnect();
  }, []);

  const chosen = graph.nodes.find(({ key }) => key === selected);
  const middle = { x: room.width / 2, y: room.height / 2 };
  const save = (as: "svg" | "png") => (): void => {
    if (svg.current === null) return;
    const text = standaloneSvg(svg.current, token("--bg0"));
    if (as === "svg") downloadText("x0-map.svg", "image/svg+xml", text);
    else void svgPicture(text, room.width, room.height).then((blob) => download("x0-map.png", blob));
  };
  return (
    <section class={`panel map ${size}`} aria-label="Services and hosts">
      <header>
        <h2>Services</h2>
        {size === "large" && <span class="s">{scope}; line width: bytes</span>}
        <span class="r s tools">
          <Tool label="+" title="Closer (+)" onClick={() => set((old) => zoomAt(old, 1.5, middle))} />
          <Tool label="−" title="Farther (−)" onClick={() => set((old) => zoomAt(old, 1 / 1.5, middle))} />
          <Tool label="fit" title="All of it (0)" onClick={() => set(() => whole)} />
          <Tool label="tidy" title="Find new places for all" onClick={tidy} />
          <Tool
            label={size === "small" ? "large" : "small"}
            title={size === "small" ? "More room, more names" : "Back beside the charts"}
            onClick={() => onSize(size === "small" ? "large" : "small")}
          />
          <Tool label="svg" title="Save the picture as SVG" onClick={save("svg")} />
          <Tool label="png" title="Save the picture as PNG" onClick={save("png")} />
          <Tool
            label="csv"
            title="Save the connections"
            onClick={() => downloadText("x0-map.csv", "text/csv", edgesCsv(graph))}
          />
        </span>
      </header>
      <p class="key">
        {chosen === undefined ? summary(graph, scope) : <Chosen {...{ node: chosen, onSelect, onFilter }} />}
      </p>
      <div
        class="drawing"
        ref={frame}
        onPointerEnter={() => setHeld(true)}
        onPointerLeave={() => setHeld(false)}
      >
        <Drawing {...{ graph, places, room, zoom, svg, selected, onSelect, move }} onZoom={set} />
      </div>
      <EdgeTable graph={graph} isShown={narrow} selected={selected} onSelect={onSelect} />
    </section>
  );
}

function summary({ nodes, hiddenEdges, edges }: Graph, scope: string): string {
  if (nodes.length === 0) return "no flow, so nobody to draw";
  const more = hiddenEdges > 0 ? `, ${exact(hiddenEdges)} more not drawn` : "";
  const services = nodes.filter(isService).reduce((sum, { members }) => sum + members, 0);
  const hosts = nodes.reduce((sum, { members }) => sum + members, 0) - services;
  const many = (number: number, what: string): string => `${exact(number)} ${what}${number === 1 ? "" : "s"}`;
  return `${many(services, "service")} here, ${many(hosts, "host")} ${scope}: ${many(edges.length, "line")}${more}`;
}

interface ChosenProps {
  readonly node: MapNode;
  onSelect(key: undefined): void;
  onFilter(filter: Filter): void;
}

function Chosen({ node, onSelect, onFilter }: ChosenProps) {
  const filter = filterOf(node);
  return (
    <>
      <b class="chosen">{visible(node.label)}</b> {bytes(node.bytes)} in {count(node.flows)} flows{" "}
      {filter !== undefined && (
        <button type="button" class="l plain" onClick={() => onFilter(filter)}>
          only its flows
        </button>
      )}
      <button type="button" class="l plain" onClick={() => onSelect(undefined)}>
        let go
      </button>
    </>
  );
}

/** What selects the flows of a node; of those that share the last node nothing does. */
function filterOf({ kind, key, label }: MapNode): Filter | undefined {
  if (kind === "unit" || kind === "container") return { [kind]: key.slice(kind.length + 1) };
  if (kind === "process" || kind === "name") return { [kind]: label };
  if (kind === "address") return { ip: label };
  if (kind === "network") return label.includes("/") ? { ip: label } : { name: label };
  return undefined;
}
