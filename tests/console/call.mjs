// Calls Belay from pages in a real browser, over HTTP: from an origin that may call, and from one that may not. It
// prints what each has come to, as a line of JSON.
//
// usage: node call.mjs CHROMIUM URL ORIGIN...
import { chromium } from 'playwright-core';

const [executablePath, url, ...origins] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath });
const page = await browser.newPage();
const call = async ([method, message, url]) => {
  try {
    const headers = { 'content-type': 'application/json', 'connect-protocol-version': '1', 'connect-timeout-ms': '60000', 'belay-role': 'storefront' };
    const answer = await fetch(`${url}/belay.v1.${method}`, { method: 'POST', headers, body: JSON.stringify(message) });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    return { refused: error.name };
  }
};
for (const origin of origins) {
  await page.goto(origin);
  for (const orderId of ['A-1', 'NONE']) {
    const told = await page.evaluate(call, ['OrderService/GetOrder', { storeId: 'shop', orderId }, url]);
    console.log(JSON.stringify({ origin, orderId, status: told.status, refused: told.refused, code: told.body?.code, order: told.body?.order?.orderId }));
  }
  // Without asking for permission first: the kind of request that a form sends.
  const plain = await page.evaluate(async (url) => {
    const answer = await fetch(`${url}/belay.v1.OrderService/GetOrder`, { method: 'POST', mode: 'no-cors', body: '{}' });
    return answer.type;
  }, url);
  console.log(JSON.stringify({ origin, plain }));
}
await browser.close();
