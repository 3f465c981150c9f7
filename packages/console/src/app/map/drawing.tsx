/** The map's boxes and lines. Boxes take the focus; arrows walk between them, Enter selects, Escape lets go. */
import { useRef } from "preact/hooks";
import { bytes, count, exact } from "../format.ts";
import { category } from "../services.ts";
import { visible } from "../visible.ts";
import { lineBetween, nextTowards, type Point, pointOf, strokeOf } from "./geometry.ts";
import { type Graph, isService, type MapEdge, type MapNode } from "./graph.ts";
import { type Place, placeAt, type Room, type Size } from "./layout.ts";
import { whole, type Zoom, zoomAt } from "./zoom.ts";

interface Props {
  readonly graph: Graph;
  readonly places: ReadonlyMap<string, Place>;
  readonly room: Room;
  readonly zoom: Zoom;
  readonly svg: preact.RefObject<SVGSVGElement | null>;
  readonly selected: string | undefined;
  onSelect(key: string | undefined): void;
  onZoom(change: (zoom: Zoom) => Zoom): void;
  move(key: string, place: Place): void;
}

export function Drawing({ graph, places, room, zoom, svg, selected, onSelect, onZoom, move }: Props) {
  const points = new Map([...places].map(([key, place]) => [key, pointOf(place, room)]));
  const near = neighbours(graph, selected);
  const middle = { x: room.width / 2, y: room.height / 2 };
  const actions: Readonly<Record<string, (from: string | undefined) => void>> = {
    Enter: (from) => onSelect(from === selected ? undefined : from),
    " ": (from) => onSelect(from === selected ? undefined : from),
    "+": () => onZoom((old) => zoomAt(old, 1.5, middle)),
    "-": () => onZoom((old) => zoomAt(old, 1 / 1.5, middle)),
    "0": () => onZoom(() => whole),
    ...(selected === undefined ? {} : { Escape: () => onSelect(undefined) }),
  };
  const key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const from = (event.target as Element).closest<SVGElement>(".node")?.dataset["key"];
    const at = from === undefined ? undefined : points.get(from);
    const next = at === undefined ? undefined : nextTowards(event.key, at, points);
    const action = next === undefined ? actions[event.key] : () => focus(svg.current, next);
    action?.(from);
    // An arrow that leads nowhere must not walk through the table instead.
    if (action !== undefined || event.key.startsWith("Arrow")) event.preventDefault();
  };
  const first = selected !== undefined && points.has(selected) ? selected : graph.nodes[0]?.key;
  return (
    <svg ref={svg} viewBox={`0 0 ${room.width} ${room.height}`} onKeyDown={key}>
      <title>Map of services and hosts; the table that follows says the same</title>
      <g transform={`translate(${zoom.x} ${zoom.y}) scale(${zoom.scale})`}>
        {graph.edges.map((edge) => (
          <Line
            key={`${edge.from}\0${edge.to}`}
            edge={edge}
            from={points.get(edge.from)}
            to={points.get(edge.to)}
            box={room.box}
            pale={selected !== undefined && edge.from !== selected && edge.to !== selected}
          />
        ))}
        {graph.nodes.map((node) => (
          <Box
            key={node.key}
            node={node}
            at={points.get(node.key)}
            box={room.box}
            scale={zoom.scale}
            selected={node.key === selected}
            pale={near !== undefined && !near.has(node.key)}
            tabStop={node.key === first}
            onSelect={() => onSelect(node.key === selected ? undefined : node.key)}
            onMove={({ x, y }) => move(node.key, placeAt(x / room.width, y / room.height))}
          />
        ))}
      </g>
    </svg>
  );
}

function neighbours({ edges }: Graph, key: string | undefined): ReadonlySet<string> | undefined {
  if (key === undefined) return undefined;
  const ends = edges.filter(({ from, to }) => from === key || to === key);
  return new Set([key, ...ends.flatMap(({ from, to }) => [from, to])]);
}

function focus(svg: SVGSVGElement | null, key: string): void {
  svg?.querySelector<SVGElement>(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

interface LineProps {
  readonly edge: MapEdge;
  readonly from: Point | undefined;
  readonly to: Point | undefined;
  readonly box: Size;
  readonly pale: boolean;
}

function Line({ edge, from, to, box, pale }: LineProps) {
  if (from === undefined || to === undefined || edge.from === edge.to) return null;
  const [start, end] = lineBetween(from, to, box);
  // Beside the line, not on it.
  const rises = (end.x - start.x) * (end.y - start.y) < 0;
  const [x, y] = [(start.x + end.x) / 2, (start.y + end.y) / 2];
  const resent = edge.packets === 0 ? 0 : edge.retransmits / edge.packets;
  const said =
    edge.drops > 0
      ? `${count(edge.drops)} dropped`
      : resent >= 0.01
        ? `${count(edge.retransmits)} resent`
        : "";
  return (
    <g class={`edge${edge.drops > 0 ? " lossy" : ""}${pale ? " pale" : ""}`}>
      <title>{`${exact(edge.bytes, "B")} in ${exact(edge.flows)} flows${said === "" ? "" : `, ${said}`}`}</title>
      <path d={`M${start.x} ${start.y}L${end.x} ${end.y}`} stroke-width={strokeOf(edge.bytes)} />
      <circle class="to" cx={end.x} cy={end.y} r="3" />
      {edge.drops > 0 && <path class="mark" d={`M${x - 5} ${y - 5}h10l-5 9z`} />}
      {said !== "" && box.height >= twoLines && (
        <text x={x + 8} y={rises ? y + 13 : y - 4}>
          {said}
        </text>
      )}
    </g>
  );
}

interface BoxProps {
  readonly node: MapNode;
  readonly at: Point | undefined;
  readonly box: Size;
  readonly scale: number;
  readonly selected: boolean;
  readonly pale: boolean;
  readonly tabStop: boolean;
  onSelect(): void;
  onMove(to: Point): void;
}

function Box({ node, at, box, scale, selected, pale, tabStop, onSelect, onMove }: BoxProps) {
  const drag = useRef<{ readonly x: number; readonly y: number; moved: boolean }>(undefined);
  if (at === undefined) return null;
  const label = visible(node.label);
  const hint = `${label}: ${exact(node.bytes, "B")} in ${exact(node.flows)} flows${node.members > 1 ? `, ${exact(node.members)} joined` : ""}`;
  const moved = (event: PointerEvent): void => {
    const { current } = drag;
    if (current === undefined) return;
    const [dx, dy] = [event.clientX - current.x, event.clientY - current.y];
    if (!current.moved && Math.hypot(dx, dy) < 4) return;
    drag.current = { x: event.clientX, y: event.clientY, moved: true };
    onMove({ x: at.x + dx / scale, y: at.y + dy / scale });
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a button cannot stand in a drawing
    <g
      class={`node${selected ? " selected" : ""}${pale ? " pale" : ""}`}
      data-key={node.key}
      role="button"
      // In SVG names of attributes have a case.
      tabindex={tabStop ? 0 : -1}
      aria-label={hint}
      aria-pressed={selected}
      transform={`translate(${at.x - box.width / 2} ${at.y - box.height / 2})`}
      onPointerDown={(event) => {
        drag.current = { x: event.clientX, y: event.clientY, moved: false };
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={moved}
      onPointerUp={() => {
        if (drag.current?.moved === false) onSelect();
        drag.current = undefined;
      }}
    >
      <title>{hint}</title>
      <rect width={box.width} height={box.height} />
      {isService(node) && <rect class={`band s${category(node.key)}`} width="3" height={box.height} />}
      <text x="9" y={box.height >= twoLines ? 12 : 13}>
        {shorten(label, Math.floor((box.width - 12) / 6.5))}
      </text>
      {box.height >= twoLines && (
        <text class="d" x="9" y="24">
          {node.members > 1 ? `${count(node.members)}, ` : ""}
          {bytes(node.bytes)}
        </text>
      )}
    </g>
  );
}

/** The lowest box with room for bytes below the name. */
const twoLines = 28;

/** Names differ in front and at their end: the middle goes. */
function shorten(label: string, most: number): string {
  return label.length <= most ? label : `${label.slice(0, most - 5)}…${label.slice(-4)}`;
}
