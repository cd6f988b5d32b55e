--- top.lua - what the host does right now: two looks at what it counts, and the difference as rates.
local host, json, metrics, time = require "host", require "json", require "metrics", require "time"

local M = {}

--- Answers that are open on purpose say nothing about how fast the host is.
local streams = { "/api/events", "/api/top", "/api/jobs/:id/logs", "/api/profile" }

local rates = {
  submitted = { "jobs_submitted_total" }, started = { "jobs_claimed_total" },
  completed = { "jobs_ended_total", 'status="completed"' }, failed = { "jobs_ended_total", 'status="failed"' },
  steps = { "job_steps_total" }, artifact_bytes = { "job_artifact_bytes_total" }, http_requests = { "http_requests_total" },
  transactions = { "db_transactions_total" }, warnings = { "log_lines_total", 'level="warn"' },
  errors = { "log_lines_total", 'level="error"' },
}

local function sum(name, having)
  local total = 0
  for _, series in ipairs(metrics.read(name)) do
    if not having or series.labels:find(having, 1, true) then total = total + series.value end
  end
  return total
end

local function is_stream(labels)
  for _, route in ipairs(streams) do if labels == ('route="%s"'):format(route) then return true end end
  return false
end

--- The histogram of answers' times, all routes in one.
local function answers()
  local all = { bounds = {}, counts = {} }
  for _, series in ipairs(metrics.read "http_request_seconds") do
    if not is_stream(series.labels) then
      all.bounds = series.bounds
      for i, count in ipairs(series.counts) do all.counts[i] = (all.counts[i] or 0) + count end
    end
  end
  return all
end

--- One look. Waits for the database.
---@param app stance.app
---@return table|nil look, table|nil err
function M.look(app)
  local open, why = app.jobs:open_counts()
  if not open then return nil, why end
  local workers
  workers, why = app.gauges:workers()
  if not workers then return nil, why end
  metrics.collect()
  local look = { at = time.monotonic(), usage = host.usage(), open = open, workers = workers, answers = answers(), counts = {},
    busy = sum "loop_turn_seconds" }
  for name, source in pairs(rates) do look.counts[name] = sum(source[1], source[2]) end
  return look
end

--- The value below which the share `q` of what came between two looks lies; nil when nothing came. Linear within a bucket.
---@param before { counts: number[] }
---@param after { bounds: number[], counts: number[] }
---@param q number
---@return number|nil
function M.quantile(before, after, q)
  local function came(i) return (after.counts[i] or 0) - (before.counts[i] or 0) end
  local all = came(#after.counts)
  if all <= 0 then return nil end
  local below, from = 0, 0
  for i, bound in ipairs(after.bounds) do
    local upto = came(i)
    if upto >= q * all then return from + (bound - from) * (q * all - below) / (upto - below) end
    below, from = upto, bound
  end
  return after.bounds[#after.bounds]
end

local function named(name, key)
  local list = {}
  for _, series in ipairs(metrics.read(name)) do
    if series.value > 0 then list[#list + 1] = { name = series.labels:match '"(.*)"', [key] = series.value } end
  end
  table.sort(list, function(a, b)
    if a[key] ~= b[key] then return a[key] > b[key] end
    return a.name < b.name
  end)
  return json.array(list)
end

local function queues(open)
  local list, by_type = {}, {}
  for _, row in ipairs(open) do
    local queue = by_type[row.type]
    if not queue then
      queue = { type = row.type, pending = 0, processing = 0, oldest_s = 0 }
      list[#list + 1], by_type[row.type] = queue, queue
    end
    queue[row.status] = row.count
    if row.status == "pending" then queue.oldest_s = row.oldest_s end
  end
  return json.array(list)
end

local function shown_workers(before, after, seconds)
  local former, list = {}, {}
  for _, worker in ipairs(before.workers) do former[worker.pid] = worker.cpu_seconds end
  for i, worker in ipairs(after.workers) do
    local began = former[worker.pid]
    list[i] = { name = worker.name, pid = worker.pid, generation = worker.generation, jobs = worker.jobs, restarts = worker.restarts,
      memory_bytes = worker.resident or 0, cpu = began and worker.cpu_seconds and (worker.cpu_seconds - began) / seconds or 0 }
  end
  return json.array(list)
end

--- What `GET /api/top` shows: rates are a second, `cpu` and `busy` shares of one core.
---@param app stance.app
---@param before table  a look
---@param after table   a later one
---@return table
function M.view(app, before, after)
  local seconds = math.max(1e-3, after.at - before.at)
  local per_second = {}
  for name, count in pairs(after.counts) do per_second[name] = (count - before.counts[name]) / seconds end
  local connections = { idle = 0, request = 0, closing = 0, websocket = 0 }
  for _, series in ipairs(metrics.read "http_connections") do connections[series.labels:match '"(.*)"'] = series.value end
  return {
    ts = time.iso(time.now()), interval_s = seconds,
    host = { version = host.version, generation = host.generation(), address = app.address, pid = host.pid, uptime_s = host.uptime(),
      cpu = (after.usage.cpu_seconds - before.usage.cpu_seconds) / seconds, memory_bytes = after.usage.resident,
      threads = after.usage.threads, busy = (after.busy - before.busy) / seconds, lag_s = host.lag() },
    rates = per_second, queues = queues(after.open), workers = shown_workers(before, after, seconds),
    http = { p50_s = M.quantile(before.answers, after.answers, 0.5), p99_s = M.quantile(before.answers, after.answers, 0.99),
      connections = connections },
    fibers = named("fibers", "count"), vms = named("vm_memory_bytes", "memory_bytes"), db = { queue = sum "db_queue_length" },
  }
end

return M
