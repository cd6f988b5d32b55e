// mediapipe.js FOLDER COUNT - MediaPipe's own pose package in headless Chromium, over FOLDER/frames/*.jpg (there and back): COUNT frames
// a model, tracking, on its XNNPACK path. Prints a JSON list: of each model the CPU of all of Chromium's processes a frame (decoding,
// too) and the wall time of a call alone (without decoding), ms. FOLDER/node_modules has the packages.
const fs = require("fs"), http = require("http"), path = require("path")
const folder = path.resolve(process.argv[2]), count = Number(process.argv[3]), warm = 8
const { chromium } = require(path.join(folder, "node_modules/playwright-core"))
const files = fs.readdirSync(path.join(folder, "frames")).sort()

const page = `<!doctype html><script src="/pose/pose.js"></script><script>
async function load(i) {
  const picture = new Image()
  picture.src = "/frames/" + i
  await picture.decode()
  return picture
}
async function follow(complexity, first, count) {
  if (!window.pose || window.complexity !== complexity) {
    if (window.pose) await window.pose.close()
    window.complexity = complexity
    window.pose = new Pose({ locateFile: file => "/pose/" + file })
    window.pose.setOptions({ modelComplexity: complexity, smoothLandmarks: true, useCpuInference: true })
    window.pose.onResults(results => { window.found = !!results.poseLandmarks })
  }
  const walls = []
  let people = 0
  for (let i = first; i < first + count; i++) {
    const picture = await load(i)
    const began = performance.now()
    await window.pose.send({ image: picture }, i * 1000 / 30)
    walls.push(performance.now() - began)
    people += window.found
  }
  return { walls, people }
}
</script>`

const server = http.createServer((request, response) => {
  const [, kind, name] = request.url.split("/")
  if (kind === "frames") {
    const period = 2 * (files.length - 1), at = Number(name) % period
    response.setHeader("Content-Type", "image/jpeg")
    return response.end(fs.readFileSync(path.join(folder, "frames", files[at < files.length ? at : period - at])))
  }
  if (kind === "pose") {
    const file = path.join(folder, "node_modules/@mediapipe/pose", path.basename(name))
    response.setHeader("Content-Type", name.endsWith(".js") ? "text/javascript" : name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream")
    return fs.existsSync(file) ? response.end(fs.readFileSync(file)) : response.writeHead(404).end()
  }
  response.setHeader("Content-Type", "text/html")
  response.end(page)
})

// CPU seconds of all processes below one.
function cpuOf(root) {
  const parents = new Map(), ticks = new Map()
  for (const pid of fs.readdirSync("/proc").filter(name => /^\d+$/.test(name))) {
    try {
      const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")
      parents.set(Number(pid), Number(fields[1]))
      ticks.set(Number(pid), Number(fields[11]) + Number(fields[12]))
    } catch { /* it ended meanwhile */ }
  }
  let sum = 0
  for (const pid of parents.keys()) {
    let at = pid
    while (at > 1 && at !== root) at = parents.get(at)
    if (at === root && pid !== root) sum += ticks.get(pid)
  }
  return sum / 100
}

const middle = list => list.slice().sort((a, b) => a - b)[Math.floor(list.length / 2)]

server.listen(0, "127.0.0.1", async () => {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] })
  const tab = await browser.newPage()
  tab.setDefaultTimeout(0)
  await tab.goto(`http://127.0.0.1:${server.address().port}/`)
  const rows = []
  for (const [complexity, model] of ["lite", "full", "heavy"].entries()) {
    await tab.evaluate(([c, n]) => follow(c, 0, n), [complexity, warm])
    const before = cpuOf(process.pid)
    const { walls, people } = await tab.evaluate(([c, f, n]) => follow(c, f, n), [complexity, warm, count])
    const after = cpuOf(process.pid)
    rows.push({ model, frames: count, people, cpu_ms: (after - before) / count * 1000, p50_ms: middle(walls) })
  }
  console.log(JSON.stringify(rows))
  await browser.close()
  server.close()
})
