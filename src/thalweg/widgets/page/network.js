// @ts-check

import { mountNetwork } from "../static/network.js";
import { standAlone } from "./alone.js";

standAlone("network", mountNetwork);
