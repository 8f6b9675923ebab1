// Purchases through Meta's Node SDK in batches of 100: node sdk_posts.cjs NODE_MODULES GRAPH PIXEL EVENTS
// Prints the seconds and the seconds of CPU that they took.

const { createRequire } = require("node:module");
const [folder, graph, pixel, count] = process.argv.slice(2);
const sdk = createRequire(folder + "/")("facebook-nodejs-business-sdk");
const { ServerEvent, UserData, CustomData, Content, EventRequest, FacebookAdsApi } = sdk;
Object.defineProperty(FacebookAdsApi, "GRAPH", { get: () => graph });

const BATCH = 100;

function event(number) {
  return new ServerEvent()
    .setEventName("Purchase")
    .setEventTime(Math.floor(Date.now() / 1000))
    .setEventId(`order-${number}`)
    .setActionSource("website")
    .setEventSourceUrl("https://www.shop.example/p/1")
    .setUserData(
      new UserData()
        .setEmails([`user${number}@example.com`])
        .setExternalIds([`cust-${number}`])
        .setClientIpAddress("203.0.113.9")
        .setClientUserAgent("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36")
        .setFbp("fb.1.1795461138686.39550"),
    )
    .setCustomData(
      new CustomData().setValue(12.5).setCurrency("EUR").setContents([new Content().setId("a").setQuantity(1)]),
    );
}

async function post(first) {
  const events = Array.from({ length: BATCH }, (_, index) => event(first + index));
  await new EventRequest("a-token", pixel, events).execute();
}

async function main() {
  await post(0); // connects
  const began = process.hrtime.bigint();
  const used = process.cpuUsage();
  for (let first = 0; first < Number(count); first += BATCH) await post(first);
  const { user, system } = process.cpuUsage(used);
  console.log(Number(process.hrtime.bigint() - began) / 1e9, (user + system) / 1e6);
}

main();
