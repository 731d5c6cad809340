// m3ter's own package for node, as its documentation shows it: `node m3ter_package.mjs FOLDER BACKEND TASK PORT COUNT`.
//
// FOLDER is where the package is installed. What is measured is what `measure.py` measures of the others: the same
// loops, the same clock, the same ticker; amounts are doubles, as JavaScript has no other number.
import { createRequire } from "node:module";
import { resourceUsage } from "node:process";

const [folder, , task, port, count] = process.argv.slice(2);
const records = Number(count);
const BALANCE = "5ca1ab1e-0000-4000-8000-0000000ba1a0";
const BILLS_PER_PAGE = 100;
const TRANSACTIONS_PER_PAGE = 200;
const IN_FLIGHT = 100;
const WARM_UP = 2 * IN_FLIGHT;

const loaded = createRequire(`${folder}/worker.js`)("m3ter-sdk");
const M3ter = loaded.default ?? loaded;
const client = new M3ter({
  apiKey: "unused",
  apiSecret: "unused",
  token: "benchmark-token",
  orgID: count,
  baseURL: `http://127.0.0.1:${port}`,
});

const listings = {
  bills: () => client.bills.list({ pageSize: BILLS_PER_PAGE }),
  transactions: () => client.balances.transactions.list(BALANCE, { pageSize: TRANSACTIONS_PER_PAGE }),
};

async function bills() {
  let rows = 0;
  let items = 0;
  let amounts = 0;
  for await (const bill of listings.bills()) {
    rows += 1;
    for (const item of bill.lineItems) {
      items += 1;
      amounts += item.subtotal;
    }
  }
  const calls = Math.ceil(records / BILLS_PER_PAGE);
  return { calls, rows, line_items: items, amounts: String(amounts), exact: false };
}

async function transactions() {
  let rows = 0;
  let amounts = 0;
  for await (const transaction of listings.transactions()) {
    rows += 1;
    amounts += transaction.amount;
  }
  return { calls: Math.ceil(records / TRANSACTIONS_PER_PAGE), rows, amounts: String(amounts), exact: false };
}

async function gets(wanted = records) {
  let next = 0;
  let answered = 0;
  async function caller() {
    while (next < wanted) {
      const identifier = `5ca1ab1e-0000-4000-8000-${String(next++).padStart(12, "0")}`;
      const answer = await client.billJobs.retrieve(identifier);
      answered += answer.id === identifier ? 1 : 0;
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  return { calls: wanted, rows: answered };
}

const began = performance.now();
await gets(1);
const firstCall = (performance.now() - began) / 1e3;
if (task === "gets") await gets(WARM_UP);
else for await (const _ of listings[task]()) break;

let stall = 0;
let last = performance.now();
const ticker = setInterval(() => {
  const now = performance.now();
  stall = Math.max(stall, now - last - 1);
  last = now;
}, 1);
const cpuBefore = process.cpuUsage();
const started = performance.now();
const seen = await { bills, transactions, gets }[task]();
const seconds = (performance.now() - started) / 1e3;
const cpu = process.cpuUsage(cpuBefore);
await new Promise((resolve) => setTimeout(resolve, 2));
clearInterval(ticker);
console.log(
  JSON.stringify({
    seconds,
    cpu: (cpu.user + cpu.system) / 1e6,
    stall: stall / 1e3,
    stall_cpu: stall / 1e3,
    first_call: firstCall,
    peak_memory: resourceUsage().maxRSS * 1024,
    ...seen,
  }),
);
process.exit(0);
