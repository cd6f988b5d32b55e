-- trouble.lua - what befalls a history: a list of blows at random moments, of the kinds that its mix has.
local err = require "stance.err"

local M = {}

local function some_worker(history)
  local up = {}
  for _, worker in ipairs(history.host.children) do
    if worker.process and not worker.process.dead and worker:pid() ~= 0 then up[#up + 1] = worker end
  end
  return #up > 0 and history.chance:pick(up) or nil
end

--- After some more fibers have gone on: between any two of them.
local function soon(history, fn)
  local left, scheduler = history.chance:integer(1, 80), history.machine.scheduler
  scheduler.interlude = function()
    left = left - 1
    if left > 0 then return end
    scheduler.interlude = nil
    fn()
  end
end

local function with_worker(fn)
  return function(history)
    local worker = some_worker(history)
    if worker then fn(history, worker) end
  end
end

--- Sets what `phases` has under a name for a while.
local function phase(field, make, longest)
  return function(history)
    local value = make(history)
    history.phases[field] = value
    history.machine.scheduler:after(history.chance:number(0.1, longest), function()
      if history.phases[field] == value then history.phases[field] = nil end
    end)
  end
end

local function cut(way)
  return phase("cut_" .. way, function(history)
    local worker = some_worker(history)
    return { process = worker and worker.process }
  end, 80)
end

--- Blows by name: function(history).
M.blows = {
  kill_worker = with_worker(function(_, worker) worker:die { signal = 9 } end),
  kill_worker_soon = function(history) soon(history, function() M.blows.kill_worker(history) end) end,
  crash_worker = with_worker(function(history, worker)
    history.crashes = history.crashes + 1
    worker:die { signal = 11 }
  end),
  freeze_worker = with_worker(function(history, worker) worker:freeze(history.chance:number(0.01, 9.5)) end),
  silence_worker = with_worker(function(history, worker)
    history.crashes = history.crashes + 1
    worker:freeze(20)
  end),
  kill_host = function(history) history:kill_host() end,
  kill_host_soon = function(history) soon(history, function() history:kill_host() end) end,
  stop_host = function(history) history:stop_host() end,
  reload = function(history) history:reload() end,
  steal_lease = function(history)
    local open = assert(history.machine.disk.db.query "SELECT id FROM jobs WHERE status = 'processing' ORDER BY seq")
    if #open == 0 then return end
    assert(history.machine.disk.db.exec("UPDATE jobs SET lease_until = 0 WHERE id = ?", history.chance:pick(open).id))
  end,
  cut_requests = cut "up",
  cut_replies = cut "down",
  echo = phase("echo", function(history) return history.chance:number(0.05, 0.5) end, 60),
  slow_link = phase("slow", function(history) return history.chance:number(0.5, 40) end, 60),
  bad_database = phase("bad_database", function(history) return history.chance:number(0.01, 0.4) end, 20),
  bad_objects = phase("bad_objects", function(history) return history.chance:number(0.05, 0.6) end, 20),
  clock_back = function(history) history.machine:jump(-history.chance:number(1, 3600)) end,
  clock_forward = function(history) history.machine:jump(history.chance:number(1, 3600)) end,
}

--- Which blows come together.
M.mixes = {
  calm = {},
  workers = { "kill_worker", "kill_worker_soon", "freeze_worker" },
  crashes = { "crash_worker", "silence_worker", "kill_worker_soon" },
  poison = { "kill_worker_soon", "kill_worker", "kill_worker_soon", "freeze_worker", "kill_host" },
  reload = { "kill_host", "stop_host", "kill_worker", "reload", "reload", "reload" },
  hosts = { "kill_host", "kill_host_soon", "stop_host", "kill_worker_soon" },
  links = { "cut_requests", "cut_replies", "echo", "slow_link" },
  leases = { "steal_lease", "slow_link", "freeze_worker", "kill_worker" },
  database = { "bad_database", "bad_objects" },
  clocks = { "clock_back", "clock_forward", "kill_worker", "kill_host" },
  storm = { "reload", "kill_worker_soon", "freeze_worker", "kill_host_soon", "stop_host", "steal_lease", "cut_requests", "cut_replies",
    "echo", "slow_link", "bad_database", "bad_objects", "clock_back", "clock_forward" },
}

M.names = { "calm", "workers", "crashes", "poison", "hosts", "reload", "links", "leases", "database", "clocks", "storm", "storm",
  "storm" }

--- What the machine asks while a blow lasts.
function M.install(history)
  local trouble, chance = history.machine.trouble, history.chance
  local codes = { "busy", "no_space", "io" }
  function trouble.db()
    local often = history.phases.bad_database
    if not (often and chance:chance(often)) then return end
    return err(chance:pick(codes), "the simulation said so"), chance:chance(0.2) -- done all the same
  end
  function trouble.objects()
    local often = history.phases.bad_objects
    if often and chance:chance(often) then return err("denied", "the simulation said so") end
  end
  function trouble.link(process, way)
    local phases = history.phases
    local broken = phases["cut_" .. way]
    if broken and broken.process == process then return "drop" end
    local fate = phases.echo and chance:chance(phases.echo) and "twice" or nil
    return fate, phases.slow and chance:chance(0.3) and chance:number(0, phases.slow) or nil
  end
end

--- Plans the blows of a history: each at its moment, none after `seconds`.
function M.plan(history, seconds)
  local kinds = M.mixes[history.mix]
  if #kinds == 0 then return end
  for _ = 1, history.chance:integer(1, 10) do
    local kind = history.chance:pick(kinds)
    history.machine.scheduler:after(history.chance:number(0, seconds), function()
      if history.host and not history.host.dead and not history.stopping then
        history:note(kind)
        history.had[kind] = true
        M.blows[kind](history)
      end
    end)
  end
end

return M
