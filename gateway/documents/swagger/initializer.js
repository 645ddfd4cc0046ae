"use strict";

// Starts Swagger UI on the gateway's own document. Everything it loads comes from the gateway: the page's
// Content-Security-Policy forbids the rest.

// HL7 v2 ends a segment with CR, which a browser doesn't show: a line each, on the page alone.
const inLines = (text) => text.replace(/\r\n?/g, "\n");

function readable(response) {
  const type = response.headers?.["content-type"] ?? "";
  if (typeof response.text !== "string") {
    return response;
  }
  if (response.url.endsWith("/swagger.json")) {
    const document = JSON.parse(response.text, (_, value) => (typeof value === "string" ? inLines(value) : value));
    response.text = JSON.stringify(document);
  } else if (type.startsWith("text/plain")) {
    response.text = inLines(response.text);
  }
  return response;
}

window.addEventListener("DOMContentLoaded", () => {
  const ui = window.SwaggerUIBundle({
    url: "v1/swagger.json",
    // A browser that holds no credentials of its own shows the page's words for a refusal, not its own login prompt.
    requestInterceptor: (request) => Object.assign(request, { credentials: "omit" }),
    dom_id: "#swagger-ui",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false, // a token never outlives the page
    queryConfigEnabled: false, // nobody can point this page at another document by its address
    responseInterceptor: readable,
    tryItOutEnabled: true,
    validatorUrl: "none", // no badge from a server of others
  });
  ui.initOAuth({ scopes: "" }); // client credentials: the secret goes in the Authorization header, and no scope
});
