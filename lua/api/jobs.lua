--- api/jobs.lua - jobs over HTTP: submit, look, steer, fetch.
local fs, host, json, objects = require "fs", require "host", require "json", require "objects"
local err = require "stance.err"
local t = require "stance.schema"

local piece = 256 * 1024 -- bytes read at a time

local submission = t.object {
  job_type = t.string { min = 1, max = 64 },
  params = t.any { optional = true },
  priority = t.integer { optional = true, min = -100, max = 100 },
  delay_s = t.number { optional = true, min = 0, max = 31536000, unit = "s" },
  deadline_s = t.number { optional = true, min = 1, max = 31536000, unit = "s" },
}

local job_status = t.enum { "pending", "processing", "completed", "failed", "cancelled" }

--- Structured-field strings come in quotes, most clients send them bare: both mean the same key.
local function unquote(key) return key and (key:match '^"(.*)"$' or key) end

--- Is there nothing at `path`, or a file with the artifact's content? Compared in pieces: artifacts may be large.
local function is_same_or_absent(path, artifact)
  local found = fs.stat(path)
  if not found then return true end
  local mine, kept = fs.open(path), objects.open(artifact.sha256)
  local same = mine ~= nil and kept ~= nil and found.size == artifact.size
  while same do
    local a, b = mine:read(piece), kept:read(piece)
    same = a == b
    if not a or a == "" then break end
  end
  if mine then mine:close() end
  if kept then kept:close() end
  return same
end

--- An open file with the artifact's content. `corrupt` when the disk has lost a part of it.
local function open_artifact(artifact)
  local file, why = objects.open(artifact.sha256)
  if not file then return nil, why end
  if file:size() == artifact.size then return file end
  local size = file:size()
  file:close()
  return nil, err("corrupt", "%s is damaged: object %s has %d bytes, not %d; bring the object back from a backup, or run the job again",
    artifact.name, artifact.sha256, size, artifact.size)
end

--- `status` and the value of a call that returned `value` or `nil, err`.
local function reply(status, value, why)
  if value == nil then return nil, why end
  return status, value
end

return function(route, app)
  local jobs = app.jobs

  route.post "/api/jobs" {
    doc = "Submit a job. When the answer comes, the job is on disk.", scope = "jobs:write", idempotent = true, body = submission,
    limit = host.config "max_body",
    handler = function(request)
      if app.stopping then return nil, err("busy", "the host is stopping") end
      local body = request.body
      local job, why, replayed = jobs:submit { job_type = body.job_type, params = body.params, priority = body.priority,
        delay_s = body.delay_s, deadline_s = body.deadline_s, idempotency_key = unquote(request.idempotency_key),
        principal = request.principal, traceparent = request.traceparent }
      if not job then return nil, why end
      return 201, job, { Location = "/api/jobs/" .. job.job_id, ["Idempotency-Replayed"] = replayed and "true" or nil }
    end,
  }

  route.get "/api/jobs" {
    doc = "Jobs, newest first, without their results.", scope = "jobs:read",
    query = t.object { status = job_status { optional = true }, type = t.string { optional = true }, parent = t.string { optional = true },
      limit = t.integer { default = 50, min = 1, max = 500 }, after = t.integer { optional = true, min = 0 } },
    handler = function(request)
      local list, why = jobs:list(request.query)
      if not list then return nil, why end
      list.jobs = json.array(list.jobs)
      return 200, list
    end,
  }

  route.get "/api/jobs/:id" {
    doc = "A job. With `wait` the answer comes when it has ended, or after that many seconds.", scope = "jobs:read",
    query = t.object { wait = t.number { default = 0, min = 0, max = 50, unit = "s" } },
    handler = function(request) return reply(200, jobs:wait(request.params.id, request.query.wait)) end,
  }

  route.post "/api/jobs/:id/cancel" {
    doc = "End a job and its children: pending ones at once, running ones at their next wait.", scope = "jobs:write",
    handler = function(request) return reply(202, jobs:cancel(request.params.id)) end,
  }

  route.post "/api/jobs/:id/retry" {
    doc = "Run a failed or cancelled job again. What its steps have finished stays finished.", scope = "jobs:write",
    handler = function(request) return reply(200, jobs:retry(request.params.id)) end,
  }

  route.post "/api/jobs/:id/signals/:name" {
    doc = "Send a running job what its `job:wait(name)` waits for.", scope = "jobs:write", body = t.any { optional = true },
    handler = function(request)
      local id = request.params.id
      local job, why = jobs:get(id)
      if not job then return nil, why end
      local ok
      ok, why = jobs.queue:signal(id, request.params.name, request.body)
      if not ok then return nil, why.code == "conflict" and err("conflict", "%s has ended", id) or why end
      return 202, { job_id = id, signal = request.params.name }
    end,
  }

  route.post "/api/jobs/:id/download" {
    doc = "Write a job's artifacts, and the job itself as manifest.json, into a folder of the host: `output_dir`, else the job's own, "
      .. "else DATA/output/ID.",
    scope = "jobs:write",
    body = t.object { output_dir = t.path { optional = true }, force = t.boolean { default = false } },
    handler = function(request)
      local id = request.params.id
      local job, why = jobs:get(id)
      if not job then return nil, why end
      local folder = request.body.output_dir or job.params.output_dir or host.data_dir .. "/output/" .. id
      local artifacts
      artifacts, why = jobs:artifacts(id)
      if not artifacts then return nil, why end
      local files, bytes = {}, 0
      for i, artifact in ipairs(artifacts) do
        local path = folder .. "/" .. artifact.name
        if not request.body.force and not is_same_or_absent(path, artifact) then
          return nil, err("exists", "%s is there with other content; say \"force\": true to replace it", path)
        end
        local ok
        ok, why = open_artifact(artifact)
        if ok then ok:close() end
        if ok then ok, why = fs.mkdir(path:match "^(.*)/") end
        if ok then ok, why = fs.copy_object(artifact.sha256, path) end
        if not ok then return nil, why end
        files[i], bytes = artifact.name, bytes + artifact.size
      end
      local ok
      ok, why = fs.mkdir(folder)
      if ok then ok, why = fs.write(folder .. "/manifest.json", json.encode(job) .. "\n") end
      if not ok then return nil, why end
      return 200, { output_dir = folder, files = json.array(files), bytes = bytes }
    end,
  }

  --- NDJSON until the job has ended and all its lines are out.
  local function follow_logs(id, cursor)
    return function(writer)
      local changes = jobs:changes_of(id)
      while true do
        local since = changes.count
        local job = jobs:get(id)
        local page = jobs:logs(id, cursor, 1000)
        if not page then return end
        for _, entry in ipairs(page.entries) do writer:write(json.encode(entry) .. "\n") end
        cursor = page.next
        local over = jobs.retired or not job or job.status == "completed" or job.status == "failed" or job.status == "cancelled"
        if over and #page.entries == 0 then return end
        if not over and #page.entries == 0 then changes:wait(5, since) end
      end
    end
  end

  route.get "/api/jobs/:id/logs" {
    doc = "Log lines of a job; with `follow=1` a stream of NDJSON that ends with the job.", scope = "jobs:read",
    query = t.object { after = t.integer { default = 0, min = 0 }, limit = t.integer { default = 1000, min = 1, max = 10000 },
      follow = t.boolean { default = false } },
    handler = function(request)
      local id, query = request.params.id, request.query
      local page, why = jobs:logs(id, query.after, query.limit)
      if not page then return nil, why end
      if query.follow then return 200, follow_logs(id, query.after), { ["Content-Type"] = "application/x-ndjson" } end
      page.entries = json.array(page.entries)
      return 200, page
    end,
  }

  route.get "/api/jobs/:id/artifacts" {
    doc = "What a job made.", scope = "jobs:read",
    handler = function(request)
      local artifacts, why = jobs:artifacts(request.params.id)
      if not artifacts then return nil, why end
      return 200, { artifacts = json.array(artifacts) }
    end,
  }

  route.get "/api/jobs/:id/artifacts/*name" {
    doc = "The bytes of an artifact; ETag and Range work.", scope = "jobs:read",
    handler = function(request)
      local artifact, why = jobs:artifact(request.params.id, request.params.name)
      if not artifact then return nil, why end
      local file
      file, why = open_artifact(artifact)
      if not file then return nil, why end
      return 200, file, { ["Content-Type"] = artifact.media_type, ETag = '"' .. artifact.sha256 .. '"', ["Cache-Control"] = "no-cache" }
    end,
  }
end
