// @ts-check

import { mountLab } from "../static/lab.js";
import { standAlone } from "./alone.js";

standAlone("lab", mountLab);
