-- history.lua - one history: random jobs and random trouble from one seed, and whether all that was promised held.
--
--     local wrong = require("spec.sim.history").run { seed = 17, library = library }
--     -- wrong: a list of words, empty when all is well
local json = require "json"
local invariants, program_of, trouble = require "spec.sim.invariants", require "spec.sim.program", require "spec.sim.trouble"
local clients, virtual = require "spec.sim.clients", require "stance.virtual"

local M = {}

local trouble_least, trouble_most, patience = 40, 120, 900 -- virtual seconds

local History = {}
History.__index = History

--- The scripts of a machine that can run programs; compile once for many histories.
---@param changes? table<string, string> broken scripts, to see whether that is noticed
---@param name? string of the generation
function M.library(changes, name)
  local scripts = { ["workflows/sim.lua"] = assert(io.open "spec/sim/workflow.lua"):read "*a" }
  for path, text in pairs(changes or {}) do scripts[path] = text end
  return virtual.library(scripts, name)
end

function History:note(words)
  if self.trace then self.trace(("%.6f -- %s"):format(self.machine.scheduler.now, words)) end
end

function History:wrong(words)
  if #self.problems < 20 then self.problems[#self.problems + 1] = ("[%s] %s"):format(self.mix, words) end
end

-- -- Hosts ----------------------------------------------------------------------------------------------------------

local function restart_later(self)
  self.machine.scheduler:after(self.chance:number(0.1, 20), function()
    self.stopping = nil
    self:start_host()
  end)
end

function History:start_host()
  self.restarted = self.host ~= nil
  local following = self.mix == "reload" and self.chance:chance(0.5) and self.next_library
  if following then self.next_library, self.library = self.library, following end
  self.host = self.machine:host { workers = self.worker_count, keep_generation = self.mix == "reload", library = self.library,
    on_failure = function(why)
      if self.phases.bad_database then return restart_later(self) end
      self:wrong("a host did not start: " .. tostring(why))
    end }
end

--- Puts the other generation of scripts in place of the present one.
function History:reload()
  if self.next_library == nil or self.reloading then return end
  self.reloading = true
  self.machine.client:spawn("reload", function()
    local ok = self.host:reload(self.next_library)
    if ok then self.library, self.next_library = self.next_library, self.library end
    self.reloading = false
  end)
end

function History:kill_host()
  if self.stopping then return end
  self.stopping = true
  self.host:kill()
  restart_later(self)
end

function History:stop_host()
  self.stopping = true
  self.machine.client:spawn("stop", function()
    self.host:stop(10)
    restart_later(self)
  end)
end

--- Only one worker may be believed about an epoch of a job.
local function believe_one(self)
  local holders = {}
  function self.machine.trouble.answered(worker, payload, reply)
    local answer, request = reply and json.decode(reply), json.decode(payload)
    if not answer or answer.err or not request.epoch then return end
    local epoch = ("%s, epoch %d"):format(request.id, request.epoch)
    local holder = holders[epoch] or worker.name
    holders[epoch] = holder
    if holder ~= worker.name then self:wrong(("%s: %s was believed, and %s (%s)"):format(epoch, holder, worker.name, request.op)) end
  end
end

--- What the ledger knows: how often a step's body began, over all processes.
local function ledger(self)
  local counts, db = {}, self.machine.disk.db
  local module = {}
  function module.count(id, key)
    local name = id .. " " .. key
    counts[name] = (counts[name] or 0) + 1
    return counts[name]
  end
  function module.step_began(job, key)
    local rows = assert(db.query([[SELECT 1 FROM steps JOIN jobs ON jobs.id = job_id WHERE job_id = ? AND key = ? AND steps.ended_at
      IS NOT NULL AND epoch = ? AND status = 'processing']], job.id, key, job.epoch))
    if #rows > 0 then self:wrong(("%s: step %s ran again after it was journalled"):format(job.id, key)) end
  end
  return module
end

-- -- The whole ------------------------------------------------------------------------------------------------------

local function is_quiet(self)
  if self.stopping or not self.host.jobs or self.host.dead or self.customers > 0 then return false end
  local left = assert(self.machine.disk.db.query [[SELECT (SELECT count(*) FROM jobs WHERE status IN ('pending', 'processing')) AS jobs,
    (SELECT ifnull(max(seq), 0) FROM events) AS events]])[1]
  return left.jobs == 0 and left.events == self.watched
end

--- In a calm history a job takes no longer than its parts do: what is slower has missed somebody's call.
local function check_pace(self)
  for id, job in pairs(self.accepted) do
    local ended = not self.asked[id] and not job.deadline and self.ended[id]
    local most, least = program_of.seconds(job.program)
    if program_of.expect(job.program).code then least = 0 end
    local took = ended and ended - job.at - job.delay
    if took and took > most + 2 then self:wrong(("%s took %.3f s, %.3f were enough"):format(id, took, most)) end
    if took and took < least - 0.2 then self:wrong(("%s took %.3f s, and sleeps for %.3f"):format(id, took, least)) end
  end
end

local function settle(self, trouble_lasts)
  local machine = self.machine
  machine:run(trouble_lasts)
  self.phases, machine.scheduler.interlude = {}, nil
  local slowest = 0
  for _, job in pairs(self.accepted) do slowest = slowest + job.delay + program_of.seconds(job.program) end
  for _ = 1, (patience + 2 * slowest) / 5 do
    if is_quiet(self) then return end
    machine:run(5)
  end
  if self.customers > 0 then self:wrong(("%d customers still wait"):format(self.customers)) end
end

--- Lets `change` have its way with each statement.
local function break_sql(disk, change)
  local whole = disk.db
  local function transaction(list)
    local changed = {}
    for i, statement in ipairs(list) do
      changed[i] = {}
      for key, value in pairs(statement) do changed[i][key] = value end
      changed[i][1] = change(statement[1])
    end
    return changed
  end
  disk.db = setmetatable({
    query = function(sql, ...) return whole.query(change(sql), ...) end,
    exec = function(sql, ...) return whole.exec(change(sql), ...) end,
    read = function(list) return whole.read(transaction(list)) end,
    transaction = function(list) return whole.transaction(transaction(list)) end,
    transactions = function(lists)
      local changed = {}
      for i, list in ipairs(lists) do changed[i] = transaction(list) end
      return whole.transactions(changed)
    end,
  }, { __index = whole })
end

--- Runs one history to its end. `trace` gets a line for each fiber that goes on and each blow.
--- `sql` may change each statement before it runs: to break things on purpose.
---@param options { seed: integer, library: stance.virtual.library, next_library?: stance.virtual.library, mix?: string,
---   favour?: string, trace?: fun(line: string), sql?: fun(s: string): string }
---@return string[] wrong, table history
function M.run(options)
  local chance = require("stance.virtual.random").new(options.seed)
  local self = setmetatable({ chance = chance, trace = options.trace, problems = {}, asked = {}, accepted = {}, ended = {}, phases = {},
    had = {}, crashes = 0, watched = 0, customers = chance:integer(1, 5), worker_count = chance:integer(1, 3) }, History)
  self.mix = options.mix or chance:pick(trouble.names)
  self.library, self.next_library, self.favour = options.library, options.next_library, options.favour
  self.most_deaths = self.mix == "poison" and 3 or 1000
  self.modules = {}
  self.machine = virtual.new { seed = chance:next(), library = options.library, modules = self.modules, trace = options.trace,
    settings = { job_lease = 30, job_max_attempts = self.most_deaths } }
  self.modules["sim.ledger"] = ledger(self)
  self.excuses = {
    crashed = function() return self.crashes >= 2 end,
    denied = function() return self.had.bad_objects end,
    poison = function(job) return job and job.poison >= self.most_deaths end,
    failed = function(job) -- a child, for one of these
      return not job and (self.had.bad_objects or self.crashes >= 2 or self.most_deaths < 1000)
    end,
    timeout = function(job)
      local accepted = job and self.accepted[job.id]
      if self.restarted and self.had.clock_forward then return true end
      return accepted and accepted.deadline and (self.ended[job.id] or 0) - accepted.asked_at >= accepted.deadline - 0.01
    end,
  }
  invariants.watch(self.machine.disk.db)
  if options.sql then break_sql(self.machine.disk, options.sql) end
  trouble.install(self)
  believe_one(self)
  self:start_host()
  for _ = 1, self.customers do
    self.machine.client:spawn("customer", function()
      clients.customer(self)
      self.customers = self.customers - 1
    end)
  end
  self.machine.client:spawn("nurse", clients.nurse, self)
  self.machine.client:spawn("watcher", clients.watcher, self)
  local trouble_lasts = chance:number(trouble_least, trouble_most)
  trouble.plan(self, trouble_lasts)
  settle(self, trouble_lasts)
  invariants.check(self, function(words) self:wrong(words) end)
  if self.mix == "calm" then check_pace(self) end
  for _, failure in ipairs(self.machine.scheduler.failures) do
    self:wrong(("%s: %s failed: %s"):format(failure.process, failure.fiber, failure.reason))
  end
  return self.problems, self
end

return M
