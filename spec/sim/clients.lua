-- clients.lua - who asks things of the hosts of a history: those who submit, cancel and wait, one who sends signals, one who watches.
local json = require "json"
local program_of = require "spec.sim.program"

local M = {}

local transient = { closed = true, busy = true, no_space = true, io = true, timeout = true }
local ends = { ["job.completed"] = true, ["job.failed"] = true, ["job.cancelled"] = true }

--- Asks the host, again when it could not answer.
local function ask(self, name, ...)
  local fiber = self.machine.client:require "fiber"
  while true do
    local host, result, why = self.host, nil, nil
    if not host.dead then result, why = host[name](host, ...) end
    if result ~= nil or why and not transient[why.code] then return result, why end
    fiber.sleep(0.7)
  end
end

local function submission(self)
  local chance = self.chance
  local program = program_of.new(chance, self.favour)
  local wanted = { job_type = "sim", params = { program = program }, priority = chance:integer(-2, 2) }
  if chance:chance(0.7) then wanted.idempotency_key = ("key %d"):format(chance:integer(1, 2 ^ 30)) end
  if chance:chance(0.2) then wanted.delay_s = chance:number(0.5, 60) end
  -- Only with a key: who asks again without one, for want of an answer, may have made a job before that nobody knows of, and its
  -- deadline may pass with good reason (the invariants look at accepted jobs for that).
  if chance:chance(0.1) and wanted.idempotency_key and not program_of.has(program, "child") then
    wanted.deadline_s = chance:number(5, 200)
  end
  return wanted
end

local function cancel(self, fiber, id, program)
  fiber.sleep(self.chance:number(0, 60))
  self.asked[id] = { cancelled = "perhaps" }
  local job = ask(self, "cancel", id)
  if job and job.status == "cancelled" then self.asked[id].cancelled = "cancelled" end
  if program_of.has(program, "child") or self.chance:chance(0.4) then return end
  fiber.sleep(self.chance:number(0, 20))
  self.asked[id].cancelled = "perhaps"
  ask(self, "retry", id)
end

--- Waits for a job's end, as a client does.
local function wait_for(self, id)
  local scheduler = self.machine.scheduler
  local asked_at, job
  repeat
    asked_at = scheduler.now
    job = ask(self, "wait", id, self.chance:number(5, 60))
  until job.status ~= "pending" and job.status ~= "processing"
  local since = scheduler.now - math.max(asked_at, self.ended[id] or scheduler.now)
  if self.mix == "calm" and not self.asked[id] and since > 1 then
    self:wrong(("%s had ended %.1f s before that was told"):format(id, since))
  end
end

--- One who submits a job, perhaps twice with the same key, perhaps to cancel it.
function M.customer(self)
  local fiber, wanted = self.machine.client:require "fiber", submission(self)
  fiber.sleep(self.chance:number(0, 30))
  local asked_at = self.machine.scheduler.now
  local job, why = ask(self, "submit", wanted)
  if not job then return self:wrong("a submission was refused: " .. why.message) end
  self.accepted[job.job_id] = { program = wanted.params.program, at = self.machine.scheduler.now, asked_at = asked_at,
    delay = wanted.delay_s or 0, deadline = wanted.deadline_s }
  if wanted.idempotency_key and self.chance:chance(0.3) then
    fiber.sleep(self.chance:number(0, 30))
    local again
    again, why = ask(self, "submit", wanted)
    local got = again and again.job_id or tostring(why)
    if got ~= job.job_id then self:wrong(("%s: its key gave %s"):format(job.job_id, got)) end
  end
  if self.chance:chance(0.15) then cancel(self, fiber, job.job_id, wanted.params.program) end
  if self.chance:chance(0.4) then wait_for(self, job.job_id) end
end

--- Gives jobs the signals that they wait for.
function M.nurse(self)
  local fiber, db, waits = self.machine.client:require "fiber", self.machine.disk.db, {}
  local function look_for(id, params)
    waits[id] = {}
    program_of.walk(json.decode(params).program, function(at) if at.op == "wait" then table.insert(waits[id], at.name) end end)
  end
  while true do
    fiber.sleep(self.chance:number(0.5, 3))
    for _, job in ipairs(assert(db.query "SELECT id, params FROM jobs WHERE status IN ('pending', 'processing') ORDER BY seq")) do
      if not waits[job.id] then look_for(job.id, job.params) end
      for _, name in ipairs(waits[job.id]) do
        local there = assert(db.query([[SELECT 1 FROM steps WHERE job_id = ?1 AND key = 'wait:' || ?2 UNION ALL
          SELECT 1 FROM signals WHERE job_id = ?1 AND name = ?2]], job.id, name))
        if #there == 0 then ask(self, "signal", job.id, name, { text = "payload of " .. name }) end
      end
    end
  end
end

--- Follows the events over all restarts: each once, in order, none missing.
function M.watcher(self)
  local fiber, cursor = self.machine.client:require "fiber", 0
  while true do
    local host = self.host
    local events, following
    if host.jobs and not host.dead then
      events, following = self.machine:inside(host.process, function() return host.jobs.events:after(cursor, nil, 10) end)
    end
    for _, event in ipairs(events or {}) do
      if event.seq ~= self.watched + 1 then self:wrong(("event %d was told after %d"):format(event.seq, self.watched)) end
      self.watched = event.seq
      if ends[event.type] then self.ended[event.job_id] = self.machine.scheduler.now end
    end
    if events then cursor = following else fiber.sleep(0.5) end
  end
end

return M
