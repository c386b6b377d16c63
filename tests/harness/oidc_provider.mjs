// A login server for the tests: npm's oidc-provider, configured by the JSON file that is the first argument, with a
// page for the login that asks for a name and believes it. Run by tests/harness/oidc.py; the second argument is the
// folder with the package. Says "ready" when it listens.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const told = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { Provider } = await import(pathToFileURL(`${process.argv[3]}/oidc-provider/lib/index.js`).href);

const provider = new Provider(told.issuer, {
  clients: told.clients,
  claims: { openid: ["sub"], profile: told.claims, email: ["email", "email_verified"] },
  conformIdTokenClaims: told.lean, // then claims come from the userinfo endpoint only
  cookies: { keys: ["of a test"] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...told.people[id] }) }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  pkce: { methods: ["S256"], required: () => true },
  ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 60, IdToken: 60, Interaction: 60, Session: 60 },
});

const form = `<!doctype html><html lang="en"><title>The login server</title><link rel="icon" href="data:,">
<form method="post"><label>Name <input name="name"></label>
<button id="yes" name="answer" value="yes">Log in</button> <button id="no" name="answer" value="no">Cancel</button></form>`;

const ask = async (request, response) => {
  if (request.method === "GET") {
    response.setHeader("content-type", "text/html");
    response.end(form);
    return;
  }
  let text = "";
  for await (const chunk of request) text += chunk;
  const sent = new URLSearchParams(text);
  const { params } = await provider.interactionDetails(request, response);
  if (sent.get("answer") !== "yes") {
    await provider.interactionFinished(request, response, { error: "access_denied" });
    return;
  }
  const grant = new provider.Grant({ accountId: sent.get("name"), clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const result = { login: { accountId: sent.get("name") }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result);
};

const served = provider.callback();
createServer((request, response) => {
  const done = request.url.startsWith("/interaction/") ? ask(request, response) : served(request, response);
  Promise.resolve(done).catch((error) => {
    console.error(error);
    response.statusCode = 500;
    response.end();
  });
}).listen(told.port, "127.0.0.1", () => console.log("ready"));
