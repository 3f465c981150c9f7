/** Moving and scaling the map: by wheel, by dragging its ground, by keys. */
import { useEffect, useRef, useState } from "preact/hooks";

export interface Zoom {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

export const whole: Zoom = { scale: 1, x: 0, y: 0 };
const [least, most] = [0.5, 8];

/** Scales around a point of the drawing, which stays where it is. */
export function zoomAt({ scale, x, y }: Zoom, factor: number, at: { x: number; y: number }): Zoom {
  const next = Math.min(most, Math.max(least, scale * factor));
  const ratio = next / scale;
  return { scale: next, x: at.x - (at.x - x) * ratio, y: at.y - (at.y - y) * ratio };
}

export interface Zooming {
  readonly zoom: Zoom;
  readonly svg: preact.RefObject<SVGSVGElement | null>;
  set(change: (zoom: Zoom) => Zoom): void;
}

export function useZoom(): Zooming {
  const [zoom, set] = useState(whole);
  const svg = useRef<SVGSVGElement>(null);
  useEffect(() => {
    const element = svg.current as SVGSVGElement;
    const abort = new AbortController();
    const at = (event: MouseEvent) => {
      const { left, top } = element.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      set((old) => zoomAt(old, Math.exp(-event.deltaY / 400), at(event)));
    };
    const down = (event: PointerEvent): void => {
      if (event.button !== 0 || (event.target as Element).closest(".node") !== null) return;
      element.setPointerCapture(event.pointerId);
    };
    const move = (event: PointerEvent): void => {
      if (!element.hasPointerCapture(event.pointerId)) return;
      set(({ scale, x, y }) => ({ scale, x: x + event.movementX, y: y + event.movementY }));
    };
    // The wheel would scroll the page: the listener must be able to refuse that.
    element.addEventListener("wheel", wheel, { passive: false, signal: abort.signal });
    element.addEventListener("pointerdown", down, { signal: abort.signal });
    element.addEventListener("pointermove", move, { signal: abort.signal });
    return () => abort.abort();
  }, []);
  return { zoom, svg, set };
}
