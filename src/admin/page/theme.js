// The colours that were chosen here last; without a choice, those of the system. Runs before anything shows.
"use strict";
try {
  const chosen = localStorage.getItem("highwater-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}
