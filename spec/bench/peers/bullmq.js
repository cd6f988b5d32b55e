// bullmq.js - empty jobs through BullMQ, as jobs_bench.lua runs them through stance: 8 submitters that wait for each acknowledgement, two
// worker processes with 4 jobs at a time. `node bullmq.js REDIS_PORT COUNT` prints {rate, p50, p99}: jobs/s from the first submission
// to the last completion, and ms of a submission. `node bullmq.js REDIS_PORT worker` is such a worker.
const { fork } = require("child_process");
const { createRequire } = require("module");
const { Queue, QueueEvents, Worker } = createRequire(process.env.BENCH_MODULES + "/")("bullmq");

const [port, count] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };

async function main() {
  const queue = new Queue("empty", { connection });
  const events = new QueueEvents("empty", { connection });
  const workers = [1, 2].map(() => fork(__filename, [port, "worker"]));
  await Promise.all([events.waitUntilReady(), ...workers.map((one) => new Promise((ready) => one.once("message", ready)))]);
  const total = Number(count);
  let taken = 0;
  let ended = 0;
  const latencies = [];
  const all = new Promise((resolve) => events.on("completed", () => ++ended === total && resolve()));
  const began = performance.now();
  async function submit() {
    while (taken++ < total) {
      const start = performance.now();
      await queue.add("empty", {}, { removeOnComplete: false });
      latencies.push(performance.now() - start);
    }
  }
  await Promise.all([submit(), submit(), submit(), submit(), submit(), submit(), submit(), submit(), all]);
  const seconds = (performance.now() - began) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.floor(latencies.length * share)];
  console.log(JSON.stringify({ rate: total / seconds, p50: at(0.5), p99: at(0.99) }));
  workers.forEach((one) => one.kill());
  process.exit(0);
}

if (count === "worker") {
  new Worker("empty", async () => null, { connection, concurrency: 4 }).waitUntilReady().then(() => process.send("ready"));
} else {
  main();
}
