// A Purchase made with Meta's Node SDK, posted as Meta's gateway endpoints post it:
// node purchase.cjs FOLDER_OF_NODE_MODULES INGEST_URL ACCESS_KEY

const { createRequire } = require("node:module");
const [folder, url, accessKey] = process.argv.slice(2);
const { ServerEvent, UserData, CustomData, Content } = createRequire(folder + "/")("facebook-nodejs-business-sdk");

const person = new UserData()
  .setEmails(["John_Smith@gmail.com"])
  .setPhones(["+1 (650) 555-1212"])
  .setClientUserAgent("Mozilla/5.0");
const order = new CustomData()
  .setValue(9.5)
  .setCurrency("eur")
  .setContents([new Content().setId("a").setQuantity(1)]);
const event = new ServerEvent()
  .setEventName("Purchase")
  .setEventTime(Math.floor(Date.now() / 1000))
  .setEventId("order-43")
  .setActionSource("website")
  .setEventSourceUrl("https://www.shop.example/thanks")
  .setUserData(person)
  .setCustomData(order);

fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ accessKey, data: [event.normalize()] }),
}).then((answer) => console.log(answer.status));
