import "uplot/dist/uPlot.min.css";
import "./tokens.css";
import "./base.css";
import "./parts.css";
import "./frame.css";
import "./flows.css";
import "./table.css";
import "./flow/flow.css";
import "./map/map.css";
import { render } from "preact";
import { FlowsPage } from "./page.tsx";
import { applyTheme } from "./theme.ts";

applyTheme();
const mount = (): void => render(<FlowsPage />, document.body);
if (document.readyState === "loading") addEventListener("DOMContentLoaded", mount);
else mount();
