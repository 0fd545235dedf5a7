// What the pages do beyond their forms: sheets as dialogs, keys, search while typing, live figures.
//
// The server renders everything, here as there: a sheet is fetched as the page that it is without JavaScript, and a
// part of a page is renewed by putting the server's newer one in its place. No markup is ever made out of strings.

import { onSheets } from "./sheet.js";
import { onKeys } from "./keys.js";
import { onSearch } from "./search.js";
import { onEvents } from "./live.js";

document.documentElement.dataset.live = "on";
onSheets();
onKeys();
onSearch();
onEvents();
