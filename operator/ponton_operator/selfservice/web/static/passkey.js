// On the pages of a passkey: takes the answer out of the address and sends it as a form, copies lines, counts down.
"use strict";
(() => {
  const brought = document.getElementById("brought");
  if (brought) {
    const [once, answer] = location.hash.slice(1).split(".");
    history.replaceState(null, "", location.pathname); // nothing of it stays in the address or the history
    if (!once || !answer) return;
    brought.elements.once.value = once;
    brought.elements.answer.value = answer;
    brought.submit();
    return;
  }

  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const lines = document.getElementById(button.dataset.copies);
      lines.select();
      await navigator.clipboard.writeText(lines.value).then(
        () => { button.textContent = button.dataset.done; },
        () => {}, // not allowed here: the lines are selected at least
      );
    });
  }

  for (const seconds of document.querySelectorAll(".seconds")) {
    const end = Date.now() + 1000 * Number(seconds.dataset.left);
    setInterval(() => {
      seconds.textContent = String(Math.max(0, Math.round((end - Date.now()) / 1000)));
    }, 500);
  }
})();
