// Starts the dashboard. A file of its own, because the policy of the page allows no inline script.
import start from "./app.js";

start({ module_or_path: new URL("./app_bg.wasm", import.meta.url) }).catch((error) => {
  console.error(error);
  const notice = document.getElementById("broken");
  if (notice) notice.hidden = false;
});
