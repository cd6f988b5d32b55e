--- claims.lua - which worker gets the next jobs: those that wait stand in a line, and one look at the queue serves one of them.
---
--- A line belongs to a generation. While workers stand in it, one fiber serves it: it looks for work on behalf of the worker with
--- the most room, and where there is none it waits until there may be some. So a new job wakes one worker, an idle host looks at
--- nothing, and the limits on jobs of one type are kept however many workers ask at once.
local fiber, time = require "fiber", require "time"
local signal = require "stance.signal"

local M = {}

local look_again = 20 -- seconds after which the queue is looked at though nobody told of a change

---@class stance.claims
---@field private queue stance.queue.sqlite
---@field private work stance.signal something may have become claimable
local Claims = {}
Claims.__index = Claims

---@param options { queue: table, clock: fun(): number, lease: number, rooms: fun(): table<string, integer>|nil }
---   rooms: how many more jobs of the types that have a limit may start
---@return stance.claims
function M.new(options)
  return setmetatable({ queue = options.queue, clock = options.clock, lease = options.lease, rooms = options.rooms,
    work = signal.shared "jobs.work", lines = {} }, Claims)
end

--- There may be a job to claim. Never waits.
function Claims:notify() self.work:notify() end

---@class stance.claims.asker
---@field worker string
---@field generation string
---@field limit integer
---@field is_there fun(): boolean does it still want jobs?
---@field answer table the channel on which it waits
---@field served boolean a look is made for it: its answer will come

--- One look: what the asker gets, at most, and whether that was all there was. Where some types have less room than the asker, first no
--- more than the least of it, then the rest of other types.
local function look(self, asker)
  local full, scarce, limit = {}, {}, asker.limit
  for job_type, room in pairs(self.rooms() or {}) do
    if room <= 0 then full[#full + 1] = job_type else limit = math.min(limit, room) end
    if room < asker.limit then scarce[#scarce + 1] = job_type end
  end
  local function claim(most, without)
    return self.queue:claim { worker = asker.worker, generation = asker.generation, limit = most, lease = self.lease, without = without }
  end
  local jobs, why = claim(limit, full)
  if not jobs or #jobs < limit then return jobs, why or true end
  if limit < asker.limit then
    for _, job in ipairs(claim(asker.limit - limit, scarce) or {}) do jobs[#jobs + 1] = job end
  end
  return jobs, false
end

--- The one with the most room, of those that are there.
local function next_asker(line)
  for i = #line, 1, -1 do if not line[i].is_there() then table.remove(line, i).answer:put { jobs = {} } end end
  local best
  for _, asker in ipairs(line) do if not best or asker.limit > best.limit then best = asker end end
  return best
end

local function remove(line, asker)
  for i, other in ipairs(line) do
    if other == asker then return table.remove(line, i) end
  end
end

local function wait_for_work(self, since)
  local due = self.queue:next_due()
  local left = due and math.max(0.001, due - self.clock()) or look_again
  return self.work:wait(math.min(left, look_again), since)
end

local function serve(self, line)
  local asker = next_asker(line)
  while asker do
    local since = self.work.count
    if line.exhausted == since then
      if not wait_for_work(self, since) then line.exhausted = nil end
    else
      asker.served = true
      local ok, jobs, all = pcall(look, self, asker)
      line.exhausted = ok and all == true and since or nil
      asker.served = false
      if not ok or not jobs or #jobs > 0 or asker.over then
        remove(line, asker)
        asker.answer:put { jobs = ok and jobs or nil, why = not ok and jobs or not jobs and all or nil }
      end
    end
    asker = next_asker(line)
  end
  self.lines[line.generation] = nil
end

--- Waits until there is work for `worker`, at most `wait` seconds: then an empty list. With 0 it only looks, out of line.
---@param worker string
---@param request { generation: string, limit: integer, wait: number }
---@param is_there fun(): boolean
---@return stance.queue.job[]|nil, table|nil err
function Claims:ask(worker, request, is_there)
  local generation, until_time = request.generation, time.monotonic() + (request.wait or 20)
  local asker = { worker = worker, generation = generation, limit = request.limit, is_there = is_there, answer = fiber.channel(1) }
  if request.wait == 0 then
    local jobs, why = look(self, asker)
    return jobs, not jobs and why or nil
  end
  local line = self.lines[generation]
  if not line then
    line = { generation = generation }
    self.lines[generation] = line
  end
  line[#line + 1] = asker
  if #line == 1 and not line.served then
    line.served = true
    fiber.spawn(serve, self, line):name "claims"
  end
  local ok, answer = pcall(asker.answer.get, asker.answer, math.max(0, until_time - time.monotonic()))
  if not ok or not answer then
    asker.over = true
    if not asker.served then remove(line, asker) end
    if not ok then error(answer, 0) end -- cancelled
    answer = asker.answer:get(not asker.served and 0 or nil) or { jobs = {} }
  end
  return answer.jobs, answer.why
end

return M
