-- invariants.lua - what must hold in the database of a host: at every commit, by triggers, and at the end of a history.
--
-- A trigger writes what is wrong into the table sim_wrong, inside the transaction that does it: what is rolled back was not wrong.
local json = require "json"
local program_of = require "spec.sim.program"

local M = {}

local function trigger(name, when, condition, subject, words)
  return ([[CREATE TRIGGER sim_%s %s WHEN %s BEGIN INSERT INTO sim_wrong (what) VALUES (%s || ': %s'); END]]):format(name, when,
    condition, subject, words)
end

-- Which changes of status there are; each claim has an epoch of its own, nothing else has.
local moves = [[(OLD.status = 'pending' AND NEW.status IN ('processing', 'cancelled', 'failed'))
  OR (OLD.status = 'processing' AND NEW.status IN ('pending', 'completed', 'failed', 'cancelled'))
  OR (OLD.status IN ('failed', 'cancelled') AND NEW.status = 'pending')]]

local triggers = {
  trigger("epoch", "BEFORE UPDATE ON jobs", "NEW.epoch <> OLD.epoch + (OLD.status = 'pending' AND NEW.status = 'processing')", "OLD.id",
    "the epoch changed without a claim, or a claim did not change it"),
  trigger("move", "BEFORE UPDATE ON jobs", ("OLD.status <> NEW.status AND NOT (%s)"):format(moves), "OLD.id",
    "' || OLD.status || ' became ' || NEW.status || '"),
  trigger("result", "BEFORE UPDATE ON jobs",
    "OLD.status = 'completed' AND (NEW.result IS NOT OLD.result OR NEW.ended_at IS NOT OLD.ended_at)", "OLD.id", "a result was replaced"),
  trigger("holder", "BEFORE UPDATE ON jobs", "NEW.status = 'processing' AND OLD.status = 'processing' AND NEW.worker IS NOT OLD.worker",
    "OLD.id", "a job changed hands within an epoch"),
  trigger("child", "BEFORE INSERT ON jobs", [[NEW.parent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = NEW.parent
    AND status = 'processing')]], "NEW.id", "a child of a job that does not run"),
  trigger("journal", "BEFORE UPDATE ON steps", "OLD.ended_at IS NOT NULL", "OLD.job_id || ' ' || OLD.key", "journalled twice"),
  trigger("forget", "BEFORE DELETE ON steps", "OLD.ended_at IS NOT NULL AND OLD.error IS NULL", "OLD.job_id || ' ' || OLD.key",
    "a finished step was forgotten"),
  trigger("step", "BEFORE INSERT ON steps", "NOT EXISTS (SELECT 1 FROM jobs WHERE id = NEW.job_id AND status = 'processing')",
    "NEW.job_id || ' ' || NEW.key", "a step of a job that does not run"),
  trigger("artifact", "BEFORE INSERT ON artifacts", "NOT EXISTS (SELECT 1 FROM jobs WHERE id = NEW.job_id AND status = 'processing')",
    "NEW.job_id || ' ' || NEW.name", "an artifact of a job that does not run"),
  trigger("events", "AFTER INSERT ON events", "NEW.seq <> 1 + (SELECT count(*) FROM events WHERE seq < NEW.seq)", "NEW.seq",
    "a gap in the events"),
}

--- Lets the database watch itself.
---@param db table db.memory()
function M.watch(db)
  assert(db.exec "CREATE TABLE sim_wrong (what TEXT NOT NULL)")
  for _, sql in ipairs(triggers) do assert(db.exec(sql)) end
end

-- -- Events ---------------------------------------------------------------------------------------------------------

local paths = {
  ["job.submitted"] = { none = "pending" },
  ["job.started"] = { pending = "running" },
  ["job.orphaned"] = { running = "pending" }, ["job.released"] = { running = "pending" }, ["job.retrying"] = { running = "pending" },
  ["job.completed"] = { running = "completed" },
  ["job.failed"] = { running = "failed", pending = "failed" }, ["job.cancelled"] = { running = "cancelled", pending = "cancelled" },
  ["job.retried"] = { failed = "pending", cancelled = "pending" },
  ["job.progress"] = { running = "running" }, ["job.log"] = { running = "running" }, ["job.artifact"] = { running = "running" },
  ["job.signal"] = { running = "running", pending = "pending" },
}

local shown = { pending = "pending", running = "processing", completed = "completed", failed = "failed", cancelled = "cancelled" }

--- The events of each job must tell a story that ends where the job is.
local function check_events(db, jobs, wrong)
  local states = {}
  for _, event in ipairs(assert(db.query "SELECT seq, type, job_id FROM events ORDER BY seq")) do
    local from = states[event.job_id] or "none"
    local to = paths[event.type] and paths[event.type][from]
    if not to then wrong(("%s: event %d, %s, of a job that is %s"):format(event.job_id, event.seq, event.type, from)) end
    states[event.job_id] = to or from
  end
  for _, job in ipairs(jobs) do
    if shown[states[job.id]] ~= job.status then
      wrong(("%s is %s, and its events say %s"):format(job.id, job.status, tostring(states[job.id])))
    end
  end
end

-- -- Artifacts and results ------------------------------------------------------------------------------------------

local function check_artifacts(history, job, expected, wrong)
  local rows = assert(history.machine.disk.db.query("SELECT name, hash, size FROM artifacts WHERE job_id = ?", job.id))
  local listed = {}
  for _, row in ipairs(rows) do
    local object = history.machine.objects[row.hash]
    listed[row.name] = true
    if not object or #object.bytes ~= row.size or object.bytes ~= expected[row.name] then
      wrong(("%s: the artifact %s is not what it was made of"):format(job.id, row.name))
    end
  end
  if job.status ~= "completed" or history.crashes >= 2 or history.had.bad_objects then return end
  for name in pairs(expected) do
    if not listed[name] then wrong(("%s: the artifact %s is not listed"):format(job.id, name)) end
  end
end

--- Is a result what was expected, but for steps that had a good reason to fail?
local function same(history, got, expected)
  if type(got) ~= "table" or type(expected) ~= "table" then
    return got == expected or history.excuses[got] ~= nil and history.excuses[got]()
  end
  for key, value in pairs(got) do if not same(history, value, expected[key]) then return false end end
  return #got == #expected
end

local function asked_of(history, jobs, job)
  return history.asked[job.id] or jobs[job.parent] and asked_of(history, jobs, jobs[job.parent]) or {}
end

local function check_end(history, job, asked, expected, wrong)
  local code = job.error and json.decode(job.error).code
  if job.status == "completed" then
    local result = job.result and json.decode(job.result)
    if expected.code then wrong(("%s completed and should have failed"):format(job.id))
    elseif not same(history, result and result.values, expected.values) then
      wrong(("%s came to %s, expected %s"):format(job.id, tostring(job.result), json.encode(expected.values)))
    end
  elseif job.status == "failed" then
    if expected.code == code then return end
    if history.excuses[code] and history.excuses[code](job) then return end
    wrong(("%s failed: %s %s"):format(job.id, tostring(code), tostring(job.reason)))
  elseif job.status == "cancelled" then
    if not asked.cancelled then wrong(("%s was cancelled by nobody"):format(job.id)) end
  else
    wrong(("%s is left %s"):format(job.id, job.status))
  end
  if history.asked[job.id] and asked.cancelled == "cancelled" and job.status ~= "cancelled" then
    wrong(("%s was cancelled, and is %s"):format(job.id, job.status))
  end
end

--- All that must hold once everything is quiet.
---@param history table the history (history.lua)
---@param wrong fun(words: string)
function M.check(history, wrong)
  local db = history.machine.disk.db
  for _, row in ipairs(assert(db.query "SELECT what FROM sim_wrong")) do wrong(row.what) end
  local jobs = assert(db.query "SELECT * FROM jobs ORDER BY seq")
  check_events(db, jobs, wrong)
  for _, job in ipairs(jobs) do jobs[job.id] = job end
  for _, job in ipairs(jobs) do
    local expected = program_of.expect(json.decode(job.params).program)
    check_end(history, job, asked_of(history, jobs, job), expected, wrong)
    check_artifacts(history, job, expected.artifacts, wrong)
  end
end

return M
