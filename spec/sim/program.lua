-- program.lua - random jobs as data: a program that the workflow "sim" (workflow.lua) runs, and what must come of it.
--
-- A program is a list of instructions. What it comes to depends on the program alone, not on how often it was interrupted: `expect`
-- says what that is.
local M = {}

local function step(chance, number)
  local at = { op = "step", name = chance:chance(0.2) and "again" or "s" .. number, value = chance:integer(1, 1000) }
  if chance:chance(0.5) then at.pause = chance:number(0.001, chance:chance(0.1) and 15 or 0.5) end
  if chance:chance(0.3) then at.artifact = true end
  if chance:chance(0.2) then
    at.fails = chance:integer(1, 2)
    at.retries = at.fails
  end
  if chance:chance(0.03) then at.broken = true end
  return at
end

local makers = {
  step = step,
  each = function(chance, number)
    local at = { op = "each", name = "e" .. number, count = chance:integer(1, 6), concurrency = chance:integer(1, 4),
      value = chance:integer(1, 9) }
    if chance:chance(0.6) then at.pause = chance:number(0.001, 2) end
    if chance:chance(0.3) then at.artifact = true end
    if chance:chance(0.3) then at.broken_item = chance:integer(1, at.count) end
    return at
  end,
  sleep = function(chance) return { op = "sleep", seconds = chance:chance(0.2) and chance:number(10, 90) or chance:number(0.01, 5) } end,
  wait = function(_, number) return { op = "wait", name = "go" .. number } end,
  child = function(chance, number, depth, favour)
    return { op = "child", program = M.new(chance, favour, depth + 1), name = "c" .. number, joined = chance:chance(0.8) }
  end,
  artifact = function(_, number) return { op = "artifact", name = "loose" .. number } end,
  talk = function() return { op = "talk" } end,
  flaky = function(chance) return { op = "flaky", fails = chance:integer(1, 2) } end,
}

local weights = { { "step", 10 }, { "each", 3 }, { "sleep", 3 }, { "wait", 2 }, { "child", 1 }, { "artifact", 1 }, { "talk", 2 },
  { "flaky", 1 } }

local function draw(chance, favour, depth)
  if favour and depth < 2 and chance:chance(0.5) then return favour end
  local total = 0
  for _, entry in ipairs(weights) do total = total + entry[2] end
  local at = chance:integer(1, total)
  for _, entry in ipairs(weights) do
    at = at - entry[2]
    if at <= 0 then return entry[1] == "child" and depth >= 2 and "step" or entry[1] end
  end
end

---@param chance stance.virtual.random
---@param favour? string an instruction of which there shall be many
---@param depth? integer
---@return table[]
function M.new(chance, favour, depth)
  local program = {}
  for number = 1, chance:integer(1, depth and 3 or 7) do
    program[number] = makers[draw(chance, favour, depth or 0)](chance, number, depth or 0, favour)
  end
  return program
end

--- Calls fn(instruction) for all, those of children too when `deep`.
function M.walk(program, fn, deep)
  for _, at in ipairs(program) do
    fn(at)
    if deep and at.op == "child" then M.walk(at.program, fn, deep) end
  end
end

function M.has(program, op)
  local found = false
  M.walk(program, function(at) found = found or at.op == op end, true)
  return found
end

-- -- What must come of it -------------------------------------------------------------------------------------------

local expects = {
  step = function(at, out, key)
    if at.broken then
      out.code = "invalid"
      return
    end
    if at.artifact then out.artifacts[key .. ".txt"] = "bytes of " .. key end
    return at.value
  end,
  each = function(at, out)
    local values = {}
    for i = 1, at.count do
      local key = ("%s/%d"):format(at.name, i)
      values[i] = i == at.broken_item and "invalid" or at.value * i
      if at.artifact and i ~= at.broken_item then out.artifacts[key .. ".txt"] = "bytes of " .. key end
    end
    return values
  end,
  sleep = function() return "slept" end,
  wait = function(at) return "payload of " .. at.name end,
  child = function(at)
    local child = M.expect(at.program)
    if not at.joined then return "left" end
    return child.code and "failed" or child.values
  end,
  artifact = function(at, out)
    out.artifacts[at.name] = "bytes of " .. at.name
    return "kept"
  end,
  talk = function() return "said" end,
  flaky = function() return "at last" end,
}

--- { values = its result, artifacts = bytes by name, code = nil or why it fails }
function M.expect(program)
  local out, used = { values = {}, artifacts = {} }, {}
  for i, at in ipairs(program) do
    local key = at.name
    if at.op == "step" then
      used[key] = (used[key] or 0) + 1
      if used[key] > 1 then key = ("%s#%d"):format(key, used[key]) end
    end
    out.values[i] = expects[at.op](at, out, key)
    if out.code then break end
  end
  return out
end

--- Seconds that it takes at most when nothing goes wrong, and at least.
function M.seconds(program)
  local most, least = 0, 0
  M.walk(program, function(at)
    local count = at.count or 1
    if at.op == "step" or at.op == "each" then
      most = most + ((at.pause or 0) + 0.03) * count * (1 + (at.fails or 0)) + (at.fails or 0) * 2
    elseif at.op == "sleep" then
      most, least = most + at.seconds + 0.02, least + at.seconds
    elseif at.op == "flaky" then
      most = most + 8
    elseif at.op == "wait" then
      most = most + 4 -- until the nurse has come by
    elseif at.op == "child" then
      most = most + M.seconds(at.program) + 0.1
    else
      most = most + 0.05
    end
  end)
  return most, least
end

return M
