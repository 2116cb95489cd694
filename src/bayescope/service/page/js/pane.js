// A pane with one image, zoomed and panned by OpenSeadragon; canvases are laid over each other as its overlays.

import OpenSeadragon from "../vendor/openseadragon.js";
import { element } from "./chart.js";

export class Pane {
  constructor(title, { height, width }) {
    this.size = { height, width };
    this.place = element("div", { class: "pane-view", "aria-label": title });
    this.root = element("figure", { class: "pane" }, element("figcaption", {}, title), this.place);
    this.layers = [];
  }

  /** Show; the pane must be in the page. */
  open() {
    const { height, width } = this.size;
    this.viewer = OpenSeadragon({
      element: this.place,
      showNavigationControl: false,
      drawer: "canvas",
      animationTime: 0.25,
      maxZoomPixelRatio: 64,
      minZoomImageRatio: 0.5,
      visibilityRatio: 0.3,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { pinchRotate: false },
      tileSources: { type: "image", url: blank(height, width), buildPyramid: false },
    });
    this.viewer.addHandler("canvas-key", (event) => {
      if (/^[a-z]$/i.test(event.originalEvent.key)) event.preventDefaultAction = true;
    });
    this.viewer.addHandler("open", () => {
      for (const layer of this.layers) this.#cover(layer);
    });
    return this;
  }

  /** A canvas over those before it. */
  layer() {
    const canvas = element("canvas", { class: "layer" });
    this.layers.push(canvas);
    if (this.viewer?.isOpen()) this.#cover(canvas);
    return canvas;
  }

  #cover(canvas) {
    const { height, width } = this.size;
    this.viewer.addOverlay({ element: canvas, location: new OpenSeadragon.Rect(0, 0, 1, height / width) });
  }

  /** `change(dx, dy)` hears of drags with Shift held, in pixels of the screen. */
  onShiftDrag(change) {
    this.viewer.addHandler("canvas-drag", (event) => {
      if (!event.shift) return;
      event.preventDefaultAction = true;
      change(event.delta.x, event.delta.y);
    });
  }

  reset() {
    this.viewer.viewport.goHome();
  }

  zoom(factor) {
    this.viewer.viewport.zoomBy(factor).applyConstraints();
  }

  close() {
    this.viewer?.destroy();
    this.root.remove();
  }
}

const TOUCHED = ["canvas-enter", "canvas-press", "canvas-scroll", "canvas-pinch", "canvas-key"];

/** What one pane shows, all show: the others follow the one that was touched last, the first to begin with. */
export function linked(panes) {
  let leading = panes[0];
  for (const pane of panes) {
    for (const event of TOUCHED) pane.viewer.addHandler(event, () => (leading = pane));
    pane.viewer.addHandler("viewport-change", () => {
      if (pane !== leading) return;
      const { viewport } = pane.viewer;
      for (const other of panes) {
        if (other === pane || !other.viewer.isOpen()) continue;
        other.viewer.viewport.zoomTo(viewport.getZoom(true), null, true).panTo(viewport.getCenter(true), true);
      }
    });
  }
  return (pane) => (leading = pane);
}

function blank(height, width) {
  const canvas = element("canvas", { height, width });
  return canvas.toDataURL();
}
