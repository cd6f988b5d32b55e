local fiber, json, ws = require "fiber", require "json", require "ws"
local lint, support = require "spec.e2e.exposition_lint", require "spec.e2e.support"

local workflows = {
  waits = [[
local t = require "stance.schema"
return { name = "waits", version = 1, params = t.object {}, run = function(job) return { got = job:wait("go", 300) } end }]],
  makes = [[
local t = require "stance.schema"
return { name = "makes", version = 1, params = t.object {}, run = function(job)
  job:step("one", function(step) step:artifact("one.txt", ("x"):rep(1000)) end)
  pcall(job.step, job, "two", function() error("no luck", 0) end)
end }]],
}

describe("what a host tells of itself", function()
  local host

  setup(function()
    host = support.host { workflows = workflows, flags = "--workers 2" }
    host:wait(host:submit "makes")
    local socket = assert(ws.connect(host.url:gsub("^http", "ws") .. "/api/events"))
    host:get "/nowhere"
    host:submit "waits"
    assert(socket:receive(5))
    socket:close()
    support.eventually("the job to wait", 10, function()
      local _, page = host:get "/metrics"
      return page:find('jobs{type="waits",status="processing"} 1', 1, true)
    end)
  end)

  teardown(function() host:stop() end)

  describe("/metrics", function()
    it("is well-formed", function()
      local status, page, headers = host:get "/metrics"
      assert.equal(200, status)
      assert.equal("text/plain; version=0.0.4; charset=utf-8", headers["content-type"])
      assert.same({}, (lint.check(page)))
    end)

    for _, line in ipairs {
      'jobs_submitted_total{type="makes"} 1', 'jobs_claimed_total{type="makes"} 1',
      'jobs_ended_total{type="makes",status="completed"} 1', 'job_steps_total{type="makes",outcome="done"} 1',
      'job_steps_total{type="makes",outcome="failed"} 1', 'job_artifacts_total{type="makes"} 1',
      'job_artifact_bytes_total{type="makes"} 1000', 'job_wait_seconds_count 2', 'ws_connections 0', 'vms{vm="host"} 1',
      'vms{worker="worker-2",vm="worker"} 1', 'child_up{name="worker-1"} 1', 'http_connections{state="request"} 1', 'db_queue_length 0',
      'jobs_orphaned_total 0',
    } do
      it("says " .. line, function()
        local _, page = host:get "/metrics"
        assert.truthy(("\n" .. page):find("\n" .. line .. "\n", 1, true), page)
      end)
    end

    for _, name in ipairs {
      "loop_turn_seconds_count", "loop_lag_seconds", "pool_threads", "pool_wait_seconds_count", "pool_work_seconds_count",
      "db_group_transactions_sum", "db_wait_seconds_count", "db_sync_seconds_count", "db_reads_total", "db_wal_bytes",
      'objects_puts_total{worker="worker-%d",outcome="stored"}', 'fibers{name="GET /metrics"}', 'vm_memory_bytes{vm="host"}',
      'log_lines_total{level="info"}', 'process_cpu_seconds_total{worker="worker-1"}', "ws_sent_messages_total",
    } do
      it("counts " .. name, function()
        local _, page = host:get "/metrics"
        local most = 0
        for value in page:gmatch("\n" .. name:gsub("[{}%-]", "%%%0") .. " ([%d.e+-]+)") do most = math.max(most, tonumber(value)) end
        assert.is_true(most > 0, name)
      end)
    end
  end)

  describe("/api/top", function()
    it("shows queues, workers and rates", function()
      local status, view = host:get "/api/top?interval=0.1"
      assert.equal(200, status)
      assert.same({ { type = "waits", pending = 0, processing = 1, oldest_s = 0 } }, view.queues)
      assert.equal(2, #view.workers)
      assert.equal(1, view.workers[1].jobs + view.workers[2].jobs)
      assert.is_true(view.workers[1].memory_bytes > 1e6 and view.host.memory_bytes > 1e6)
      assert.equal(0, view.rates.failed)
      assert.is_true(view.interval_s >= 0.1 and view.host.busy >= 0)
    end)

    local function top(arguments)
      return support.shell(("STANCE_URL=%s timeout 20 %s top </dev/null 2>&1 %s"):format(host.url, support.binary, arguments))
    end

    it("is a page of text where there is no terminal", function()
      local page = top "--interval 0.1"
      assert.matches("^stance %d", page)
      assert.matches("\nworker%-2 +%d+ ", page)
      assert.matches("\nwaits +0 +1 ", page)
      assert.is_nil(page:find "\27")
    end)

    it("is one object, or a stream of them", function()
      assert.equal(2, #json.decode(top "--json").workers)
      local lines = top "--json --interval 0.1 | head -3"
      for line in lines:gmatch "[^\n]+" do assert.equal(2, #json.decode(line).workers) end
    end)

    it("keeps a screen up to date, sorts, and leaves the terminal as it was", function()
      local command = ("(sleep 1; printf s; sleep 1; printf q) | timeout 20 script -qec '%s top --interval 0.2 --url %s' /dev/null")
        :format(support.binary, host.url)
      local screen = support.shell(command)
      assert.matches("^[^\n]*\27%[%?1049h", screen)
      assert.matches("worker%-1", screen)
      assert.matches("sort by memory", screen)
      assert.matches("\27%[%?1049l%s*$", screen)
    end)
  end)

  describe("a profile", function()
    --- Requests that keep the host busy while fn runs.
    local function busily(fn)
      local going = true
      local busy = fiber.spawn(function() while going do host:get "/metrics" end end)
      local result = { fn() }
      going = false
      busy:join()
      return unpack(result)
    end

    it("shows where the host's time goes, in Lua and in C", function()
      local status, folded = busily(function() return host:post "/api/profile?seconds=1&hz=500" end)
      assert.equal(200, status)
      for line in folded:gmatch "[^\n]+" do assert.matches("^[^;]+;.* %d+$", line) end
      assert.matches("Lua;GET /metrics;", folded)
      assert.matches("\nloop;", "\n" .. folded)
    end)

    it("is a picture, too", function()
      local _, svg, headers = busily(function() return host:post "/api/profile?seconds=0.5&format=svg&what=lua" end)
      assert.equal("image/svg+xml", headers["content-type"])
      assert.matches("^<%?xml", svg)
      assert.matches("</svg>%s*$", svg)
    end)

    it("is taken of a worker", function()
      local status = host:post "/api/profile?seconds=0.2&worker=1"
      assert.equal(200, status)
    end)

    it("is refused while another one is taken, and ends with its client", function()
      local first = fiber.spawn(function() host:post "/api/profile?seconds=60" end)
      support.eventually("the first to run", 20, function()
        for _, one in ipairs(select(2, host:get "/api/fibers").fibers) do
          if one.name == "POST /api/profile" and one.call == "run" then return true end
        end
      end)
      local status, problem = host:post "/api/profile?seconds=0.1"
      assert.same({ 503, "busy" }, { status, problem.code })
      first:cancel()
      support.eventually("the first to end", 20, function() return (host:post "/api/profile?seconds=0.1") == 200 end)
    end)

    it("is written to a file", function()
      local file = host.folder .. "/host.svg"
      support.shell(("STANCE_URL=%s %s profile 200ms --output %s 2>&1"):format(host.url, support.binary, file))
      assert.matches("</svg>", support.shell("cat " .. file))
      local failed = support.shell(("STANCE_URL=http://127.0.0.1:1 %s profile 200ms --output %s 2>&1"):format(support.binary, file))
      assert.matches("127.0.0.1:1", failed)
      assert.matches("</svg>", support.shell("cat " .. file)) -- the former one is still there
      failed = support.shell(("STANCE_URL=%s %s profile 200ms --output /no/where.svg 2>&1"):format(host.url, support.binary))
      assert.matches("/no/where.svg: No such file", failed)
    end)
  end)

  describe("a job's trace", function()
    it("tells what became of it, under the trace of its request", function()
      local trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
      local _, job = host:post("/api/jobs", { job_type = "makes" }, { traceparent = "00-" .. trace_id .. "-00f067aa0ba902b7-01" })
      host:wait(job.job_id)
      local status, got = host:get("/api/jobs/" .. job.job_id .. "/trace")
      assert.equal(200, status)
      assert.equal(trace_id, got.trace_id)
      local kinds, steps = {}, {}
      for _, entry in ipairs(got.entries) do
        kinds[entry.kind] = (kinds[entry.kind] or 0) + 1
        if entry.kind == "step" then steps[entry.name] = entry end
      end
      assert.same({ submitted = 1, started = 1, step = 2, artifact = 1, completed = 1 }, kinds)
      assert.is_true(steps.one.seconds >= 0 and steps.two.failed)
      assert.equal("no luck", steps.two.detail)
      local text = support.shell(("STANCE_URL=%s %s job trace %s"):format(host.url, support.binary, job.job_id))
      assert.matches("completed after .* trace " .. trace_id, text)
      assert.matches("step two: no luck", text)
      assert.truthy(host:log():find('"traceId":"' .. trace_id, 1, true) or host:log():find('"requestId":"' .. trace_id, 1, true))
    end)

    it("of a job that is not there is not found", function() assert.equal(404, (host:get "/api/jobs/nothing/trace")) end)
  end)

  describe("/api/fibers", function()
    it("shows who waits where", function()
      local _, answer = host:get "/api/fibers"
      local names = {}
      for _, one in ipairs(answer.fibers) do names[one.name] = one end
      assert.equal("running", names["GET /api/fibers"].status)
      assert.matches("^%x+$", names["GET /api/fibers"].trace)
      assert.equal("sleep", names["leases"].call)
      assert.matches("stance/jobs.lua:%d+$", names["leases"].where)
    end)

    it("shows those of a worker, with the job they run", function()
      local found
      for index = 1, 2 do
        local status, answer = host:get("/api/fibers?traceback=1&worker=" .. index)
        assert.equal(200, status)
        for _, one in ipairs(answer.fibers) do
          if one.job and one.job:find "^waits_" and one.call == "call" then found = one end
        end
      end
      assert.matches("job.lua", found.traceback)
      assert.matches("^%x+$", found.trace)
    end)

    it("names the workers there are", function()
      local status, problem = host:get "/api/fibers?worker=7"
      assert.equal(404, status)
      assert.matches("there are: 1, 2", problem.detail)
    end)
  end)
end)
