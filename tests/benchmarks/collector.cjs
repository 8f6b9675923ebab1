// The collector a shop would write: express takes the pixel's hits, Meta's Node SDK sends an event for each.
// node collector.cjs FOLDER_OF_NODE_MODULES PORT GRAPH_URL

const { createRequire } = require("node:module");
const [folder, port, graph] = process.argv.slice(2);
const load = createRequire(folder + "/");
const express = load("express");
const { FacebookAdsApi, EventRequest, ServerEvent, UserData, CustomData } = load("facebook-nodejs-business-sdk");

Object.defineProperty(FacebookAdsApi, "GRAPH", { get: () => graph });

const eventOf = ({ query, headers, ip }) =>
  new ServerEvent()
    .setEventName(query.ev)
    .setEventTime(Math.floor(query.ts / 1000))
    .setEventId(query.eid)
    .setActionSource("website")
    .setEventSourceUrl(query.dl)
    .setUserData(
      new UserData()
        .setClientIpAddress(ip)
        .setClientUserAgent(headers["user-agent"])
        .setFbp(query.fbp)
    )
    .setCustomData(new CustomData().setValue(Number(query["cd[value]"])).setCurrency(query["cd[currency]"]));

express()
  .set("query parser", "simple")
  .get("/tr/", async (request, response) => {
    await new EventRequest("a-token", request.query.id).setEvents([eventOf(request)]).execute();
    response.set("Cache-Control", "no-store").type("text/plain").send("");
  })
  .listen(Number(port), "127.0.0.1");
