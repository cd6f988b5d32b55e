--- job.lua - what a workflow's `run(job, params)` is given: durable steps, artifacts, children, timers.
---
---     run = function(job, p)
---       local plan = job:step("plan", function() return make_plan(p) end)       -- once, however often the job is resumed
---       job:each(plan.items, { retries = 2, timeout = 120 }, function(step, item)
---         step:artifact(item.name .. ".png", draw(item))                         -- commits with the step, or not at all
---       end)
---     end
---
--- A step's key names it across restarts: what is journalled under it is returned instead of running the step again. Code between
--- steps runs again after a restart, so it must come to the same steps. All calls wait; none may be made outside the run.
local fiber, json, log = require "fiber", require "json", require("log").named "workflow"
local objects, time = require "objects", require "time"
local err, group = require "stance.err", require "stance.group"

local M = {}

local flush_every = 0.25 -- seconds that progress and log lines may lie in memory
local backoff_least, backoff_most = 0.5, 30
local disk_pause_least, disk_pause_most = 0.05, 5
local join_wait = 20
local default_concurrency = 4
local result_limit = 1024 * 1024 -- bytes of a result as JSON: larger things are artifacts
local message_limit = 4000
local crashes_most = 2 -- a step that took the worker down so often is not tried again

local media_types = {
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", webp = "image/webp", json = "application/json",
  txt = "text/plain; charset=utf-8",
  npy = "application/x-npy", glb = "model/gltf-binary", csv = "text/csv; charset=utf-8", svg = "image/svg+xml", zip = "application/zip",
}

--- Errors that would come again, whoever tries.
local permanent = { invalid = true, not_found = true, unsupported = true, corrupt = true, too_large = true, denied = true,
  crashed = true }

---@param why any what was raised
---@return boolean
function M.is_permanent(why) return type(why) == "table" and permanent[why.code] == true end

--- What was raised as an error table {code, message} that can be kept, whatever it was.
---@param value any
---@return { code: string, message: string }
function M.as_error(value)
  local has_code = type(value) == "table" and type(value.code) == "string"
  local ok, message = pcall(tostring, has_code and value.message or value)
  if not ok then message = "(an error that cannot be shown)" end
  return err(has_code and value.code or "script", "%s", message:sub(1, message_limit))
end

local as_error = M.as_error

--- Raises `invalid` for a result that JSON cannot carry, and `too_large` for one over 1 MiB.
---@param value any
function M.check_result(value)
  if value == nil then return end
  local ok, text = pcall(json.encode, value)
  if not ok then error(err("invalid", "the result cannot be kept: %s", as_error(text).message), 0) end
  if #text > result_limit then
    error(err("too_large", "the result has %d bytes as JSON, at most %d are kept: make large things artifacts", #text, result_limit), 0)
  end
end

local function plain(why) return { code = why.code, message = why.message } end

local function from_json(value)
  if value == nil or value == json.null then return nil end
  return value
end

-- -- Notes: progress, log lines, artifacts on their way to the host ----------------------------------------------------

---@class stance.step the part of a job that commits as one
---@field job stance.job
---@field key string
local Step = {}
Step.__index = Step

local function check_artifact(name, bytes)
  if type(name) ~= "string" or name == "" or #name > 512 then error("an artifact's name must be a string of 1 to 512 bytes", 3) end
  if name:find("[%z\1-\31\\]") or name:sub(1, 1) == "/" or ("/" .. name .. "/"):find("/%.?%.?/") then
    error(("'%s' is no name for an artifact: no empty parts, no '.', no '..', no control characters"):format(name), 3)
  end
  if type(bytes) ~= "string" then error("an artifact is made of a string of bytes", 3) end
end

--- A full disk and a want of descriptors are the host's trouble, not the step's: the bytes wait until it has passed.
local function keep(step, bytes)
  local pause = disk_pause_least
  while true do
    local kept, why = objects.put(bytes)
    if kept or why.code ~= "no_space" and why.code ~= "busy" then return kept, why end
    if pause == disk_pause_least then step.job:log("warn", "an artifact waits for the disk: " .. why.message) end
    fiber.sleep(pause)
    pause = math.min(disk_pause_most, pause * 2)
  end
end

--- Keeps `bytes` under `name` ("mannequin/front.png"). It is listed when the step has ended well.
---@param name string
---@param bytes string
---@param media_type? string guessed from the name's ending
function Step:artifact(name, bytes, media_type)
  check_artifact(name, bytes)
  local kept, why = keep(self, bytes)
  if not kept then error(why, 0) end
  self.artifacts[#self.artifacts + 1] = { name = name, hash = kept.hash, size = kept.size,
    media_type = media_type or media_types[name:match "%.(%w+)$" or ""] or "application/octet-stream" }
end

--- Passes `value` on, or ends this step with `why`: for functions that return nil, err.
---@generic T
---@param value T|nil
---@param why? table
---@return T
function Step:try(value, why)
  if value == nil then error(as_error(why or "there is no value"), 0) end
  return value
end

--- As `job:log`.
---@param ... any
function Step:log(...) self.job:log(...) end

--- As `job:progress`.
---@param ... any
function Step:progress(...) self.job:progress(...) end

-- -- The job --------------------------------------------------------------------------------------------------------

---@class stance.job
---@field id string
---@field type string
---@field attempt integer 1 for the first
local Job = {}
Job.__index = Job

---@param options { claim: table, call: function, slot: fun(by: integer) }
---@return stance.job
function M.new(options)
  local claim = options.claim
  local self = setmetatable({ id = claim.id, type = claim.type, attempt = claim.attempt, epoch = claim.epoch, call = options.call,
    slot = options.slot, journal = {}, unread = 0, in_steps = 0, crashes = {}, careful = claim.careful, used = {}, events = {} }, Job)
  for _, step in ipairs(claim.journal or {}) do
    if step.crashes then
      self.crashes[step.key] = step.crashes
    else
      self.journal[step.key] = step
      self.unread = self.unread + 1
    end
  end
  return self
end

function Job:close()
  self.closed = true
  if self.flusher then self.flusher:cancel "the job has ended" end
end

-- Errors that tell nothing of the job: whether the host has kept what it was told is not known, or it cannot keep anything.
local unreachable = { timeout = true, closed = true, upstream = true, internal = true, no_memory = true, busy = true, no_space = true,
  io = true }

--- A request to the host about this job. Raises on failure: `conflict` means that the job is no longer ours. When the host cannot be
--- reached this run is adrift: nothing that it does counts any more, and another will go on from the journal.
function Job:ask(op, fields, timeout)
  if self.adrift then error(self.adrift, 0) end
  fields.id, fields.epoch = self.id, self.epoch
  local answer, why = self.call(op, fields, timeout)
  if answer == nil then
    if why.code == "conflict" then self.lost = true end
    if unreachable[why.code] then self.adrift = self.adrift or why end
    error(why, 0)
  end
  return answer
end

--- Is there nothing left for this run to do?
function Job:is_over() return self.lost or self.adrift ~= nil end

function Job:take_note(artifacts)
  local note = { progress = self.unsent_progress, events = #self.events > 0 and self.events or nil,
    artifacts = artifacts and #artifacts > 0 and artifacts or nil }
  self.unsent_progress, self.events = nil, {}
  return note
end

--- What an earlier attempt has journalled under this key, or nil.
function Job:past(key)
  local step = self.journal[key]
  if step and not step.read then
    step.read = true
    self.unread = self.unread - 1
  end
  return step
end

--- Does the run only go once more over what an earlier attempt has done? Then it need not say it again.
function Job:is_replaying() return self.unread > 0 and self.in_steps == 0 end

--- Sends what lies in memory.
function Job:flush()
  local note = self:take_note()
  if next(note) then self:ask("note", { note = note }) end
end

--- The last words of a run that failed; its failure is reported whether they arrive or not.
function Job:end_note() pcall(self.flush, self) end

--- Sends what comes into memory from now on, a little later.
function Job:flush_soon()
  if self.flusher or self.closed then return end
  self.flusher = fiber.spawn(function()
    fiber.sleep(flush_every)
    self.flusher = nil
    if self:is_over() then return end
    local ok, why = pcall(self.flush, self)
    if not ok and as_error(why).code ~= "cancelled" then log.warn("cannot send a job's notes", { reason = tostring(why) }) end
  end)
end

--- The stable key of a step: its name, with #2, #3 where the same name comes again.
function Job:key(name)
  local count = (self.used[name] or 0) + 1
  self.used[name] = count
  return count == 1 and name or ("%s#%d"):format(name, count)
end

local function attempt_step(self, key, opts, fn)
  local step = setmetatable({ job = self, key = key, artifacts = {} }, Step)
  local ok, result
  self.in_steps = self.in_steps + 1
  local function run()
    local value = fn(step)
    M.check_result(value)
    return value
  end
  if opts.timeout then ok, result = pcall(fiber.deadline, opts.timeout, run) else ok, result = pcall(run) end
  self.in_steps = self.in_steps - 1
  return ok, result, step
end

local function journal(self, key, name, attempt, started, outcome, step)
  local note = self:take_note(step and step.artifacts)
  self:ask("step", { step = { key = key, name = name, attempt = attempt, started_at = started, result = outcome.result,
    error = outcome.error, was_poison = self.careful }, note = next(note) and note or nil })
end

--- After a crash steps are begun one at a time and on record, so that the one that takes the worker down again is known, and fails
--- alone.
local function begin_carefully(self, key, name)
  local crashes = self.crashes[key] or 0
  if crashes >= crashes_most then
    local why = err("crashed", "the worker crashed %d times in this step", crashes)
    journal(self, key, name, crashes, time.now(), { error = plain(why) })
    error(why, 0)
  end
  self:ask("begin", { key = key, name = name })
end

local function run_step(self, key, name, opts, fn)
  if self.careful then begin_carefully(self, key, name) end
  local retries, started = opts.retries or 0, time.now()
  for attempt = 1, retries + 1 do
    local ok, result, step = attempt_step(self, key, opts, fn)
    if ok then
      journal(self, key, name, attempt, started, { result = result == nil and json.null or result }, step)
      return result
    end
    local why = as_error(result)
    if self:is_over() or why.code == "cancelled" then error(why, 0) end
    if attempt > retries or permanent[why.code] then
      journal(self, key, name, attempt, started, { error = plain(why) })
      error(why, 0)
    end
    self:log("warn", ("step %s failed, trying again: %s"):format(key, why.message))
    fiber.sleep(math.min(backoff_most, (opts.backoff or backoff_least) * 2 ^ (attempt - 1)))
  end
end

--- Runs `fn(step)` once and journals its result (what JSON can carry), or returns what was journalled. A step that fails, after
--- its retries, raises its error, now and after every restart.
---@param name string
---@param opts? { key?: string, retries?: integer, timeout?: number, backoff?: number } seconds
---@param fn fun(step: stance.step): any
---@return any
---@overload fun(self: stance.job, name: string, fn: fun(step: stance.step): any): any
function Job:step(name, opts, fn)
  if fn == nil then opts, fn = {}, opts end
  if type(name) ~= "string" then error("step: the name must be a string", 2) end
  local named = opts.key or name
  if type(named) ~= "string" and type(named) ~= "number" then error("step: the key must be a string", 2) end
  if type(fn) ~= "function" then error("step: there must be a function", 2) end
  local key = self:key(tostring(named))
  local done = self:past(key)
  if not done then return run_step(self, key, name, opts, fn) end
  if done.error then
    local why = json.decode(done.error)
    error(err(why.code, "%s", why.message), 0)
  end
  return from_json(done.result and json.decode(done.result))
end

---@class stance.outcome
---@field item any
---@field ok boolean
---@field result? any
---@field err? table

--- A step for each item, some at once; an item that fails does not end the others.
---@param list any[]
---@param opts { key?: (fun(item: any, index: integer): string), name?: string, concurrency?: integer, retries?: integer, timeout?: number }
---@param fn fun(step: stance.step, item: any, index: integer): any
---@return stance.outcome[]
---@overload fun(self: stance.job, list: any[], fn: function): stance.outcome[]
function Job:each(list, opts, fn)
  if fn == nil then opts, fn = {}, opts end
  local name = opts.name or "each"
  local keys = {}
  for i, item in ipairs(list) do
    keys[i] = opts.key and opts.key(item, i) or ("%s/%s"):format(name, type(item) == "string" and item or i)
  end
  local concurrency = self.careful and 1 or opts.concurrency or default_concurrency
  return group.map(list, concurrency, function(item, i)
    local step_opts = { key = keys[i], retries = opts.retries, timeout = opts.timeout, backoff = opts.backoff }
    local ok, result = pcall(self.step, self, name, step_opts, function(step) return fn(step, item, i) end)
    if ok then return { item = item, ok = true, result = result } end
    if self:is_over() or as_error(result).code == "cancelled" then error(result, 0) end
    return { item = item, ok = false, err = as_error(result) }
  end)
end

--- Keeps bytes at once, outside any step: for what is the same however often it is made.
---@param name string
---@param bytes string
---@param media_type? string
function Job:artifact(name, bytes, media_type)
  local step = setmetatable({ job = self, artifacts = {} }, Step)
  Step.artifact(step, name, bytes, media_type)
  self:ask("note", { note = self:take_note(step.artifacts) })
end

--- The bytes of an artifact of this job.
---@param name string
---@return string|nil bytes, table|nil err
function Job:read_artifact(name)
  local found, why = self.call("artifact", { id = self.id, name = name })
  if not found then return nil, why end
  return objects.read(found.sha256)
end

--- How far the job is; the latest of several in a quarter of a second is the one that is kept.
---@param done number
---@param total number
---@param note? string
function Job:progress(done, total, note)
  if type(done) ~= "number" or type(total) ~= "number" then error("progress: done and total must be numbers", 2) end
  if self:is_replaying() then return end
  self.unsent_progress = { done = done, total = total, note = note }
  self:flush_soon()
end

--- A line in the job's log. The level may be left out. Lines between steps that an earlier attempt has passed are not written again.
---@param level "debug"|"info"|"warn"|"error"|string
---@param message? string
---@param fields? table
function Job:log(level, message, fields)
  if self:is_replaying() then return end
  if not log[level] then level, message, fields = "info", level, message end
  log[level](tostring(message), fields)
  self.events[#self.events + 1] = { type = "job.log", data = { level = level, message = tostring(message), fields = fields } }
  self:flush_soon()
end

--- Sleeps until a moment that is kept: after a restart only the rest.
---@param seconds number
function Job:sleep(seconds)
  local wake = self:step("sleep", function() return { at = time.now() + seconds } end).at
  self.slot(-1) -- a sleeping job leaves its place to another
  local left = wake - time.now() -- more than it was to be: the clock was set back
  local ok, why = pcall(fiber.sleep, math.max(0, math.min(seconds, left)))
  self.slot(1)
  if not ok then error(why, 0) end
end

--- Asks again and again, each time letting the host wait, until there is an answer.
local function poll(self, op, fields, timeout, answered)
  local until_time = timeout and time.monotonic() + timeout
  self.slot(-1)
  local ok, answer = pcall(function()
    while true do
      local left = until_time and until_time - time.monotonic() or join_wait
      if left <= 0 then return nil end
      fields.wait = math.min(left, join_wait)
      local got = self:ask(op, fields, join_wait + 30)
      if answered(got) then return got end
    end
  end)
  self.slot(1)
  if not ok then error(answer, 0) end
  return answer
end

--- Waits for a signal (`POST /api/jobs/ID/signals/NAME`) and returns its payload. The timeout is not kept over restarts.
---@param name string
---@param timeout? number seconds
---@return any|nil payload, table|nil err `timeout`
function Job:wait(name, timeout)
  local key = self:key("wait:" .. name)
  local done = self:past(key)
  if done then return from_json(done.result and json.decode(done.result)) end
  local taken = poll(self, "signal", { name = name, key = key }, timeout, function(got) return got ~= false end)
  if not taken then return nil, err("timeout", "no signal '%s' came in %g s", name, timeout) end
  return from_json(taken.payload)
end

---@class stance.child
---@field id string
local Child = {}
Child.__index = Child

--- Starts another job, once. Limit how many run at once by spawning and joining inside `job:each` with `concurrency`.
---@param job_type string
---@param params table
---@param opts? { key?: string }
---@return stance.child
function Job:spawn(job_type, params, opts)
  local id = self:step("spawn:" .. job_type, { key = opts and opts.key }, function(step)
    return self:ask("spawn", { key = step.key, job_type = job_type, params = params })
  end)
  return setmetatable({ id = id, job = self }, Child)
end

--- Another job of the host, whoever submitted it: to wait for, and to read from.
---@param id string
---@return stance.child
function Job:other(id)
  if type(id) ~= "string" then error("other: the id must be a string", 2) end
  return setmetatable({ id = id, job = self }, Child)
end

--- What it has made so far.
---@return { name: string, size: integer, sha256: string, media_type: string }[]
function Child:artifacts() return self.job:ask("artifacts", { of = self.id }) end

--- The bytes of one of its artifacts.
---@param name string
---@return string|nil bytes, table|nil err
function Child:read_artifact(name)
  local found, why = self.job.call("artifact", { id = self.id, name = name })
  if not found then return nil, why end
  return objects.read(found.sha256)
end

--- Waits until it has ended and returns its result; journalled.
---@return any|nil result, table|nil err
function Child:join()
  local function has_ended(child)
    return child.status == "completed" or child.status == "failed" or child.status == "cancelled"
  end
  local last = self.job:step("join:" .. self.id, function()
    local child = poll(self.job, "join", { child = self.id }, nil, has_ended)
    return { status = child.status, result = child.result, reason = child.reason }
  end)
  if last.status == "completed" then return from_json(last.result) end
  return nil, err("failed", "%s %s: %s", self.id, last.status, tostring(last.reason))
end

return M
