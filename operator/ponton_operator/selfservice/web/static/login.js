// Goes on by itself when the owner has agreed to the login, or refused it, in their XMPP client.
// Without this script a page without a field asks again every three seconds.
"use strict";
(() => {
  const asked = document.getElementById("asked");
  if (!asked) return;
  const ends = Date.now() + 10 * 60 * 1000; // as long as a code holds
  const ask = async () => {
    try {
      const answer = await fetch(asked.dataset.answer, { credentials: "same-origin", cache: "no-store" });
      if (answer.status === 200) {
        location.assign(location.pathname);
        return;
      }
    } catch { /* the server is away for a moment */ }
    if (Date.now() < ends) setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
})();
