--- render_plan.lua - what a render job will do: names of folders, batches of views, and how far it is. No effects.
local M = {}

--- The names of the characters' folders: the files' names without ending, safe in any file system, each once.
---@param files string[]
---@return string[]
function M.names(files)
  local names, taken = {}, {}
  for i, file in ipairs(files) do
    local stem = file:match "([^/\\]*)[/\\]*$":gsub("(.)%.[^.]*$", "%1"):gsub("[^%w._-]", "_"):gsub("^%.+", "_")
    local base = stem ~= "" and stem:sub(1, 100) or "character"
    local name, count = base, 1
    while taken[name:lower()] do -- some file systems do not tell A from a
      count = count + 1
      name = base .. "-" .. count
    end
    taken[name:lower()] = true
    names[i] = name
  end
  return names
end

---@class stance.render_plan.batch
---@field key string "mannequin/0-3"
---@field character integer its number
---@field file string
---@field name string the character's name
---@field first integer the first view, from 1
---@field last integer
---@field before integer views in all earlier batches

--- The batches of a job, character by character.
---@param files string[]
---@param names string[]
---@param angles integer views a character
---@param size integer views a batch
---@return stance.render_plan.batch[]
function M.batches(files, names, angles, size)
  local out, before = {}, 0
  for c, file in ipairs(files) do
    for first = 1, angles, size do
      local last = math.min(first + size - 1, angles)
      out[#out + 1] = { key = ("%s/%d-%d"):format(names[c], first - 1, last - 1), character = c, file = file,
        name = names[c], first = first, last = last, before = before }
      before = before + last - first + 1
    end
  end
  return out
end

--- Counts views that are through. Batches start in order, and those that an earlier run finished never start: so what
--- stands before the newest one is through unless it runs.
---@return fun(batch: stance.render_plan.batch, runs: boolean): integer
function M.counter()
  local running, started, done = {}, 0, 0
  return function(batch, runs)
    running[batch] = runs or nil
    started = math.max(started, batch.before + batch.last - batch.first + 1)
    local open = 0
    for other in pairs(running) do open = open + other.last - other.first + 1 end
    done = math.max(done, started - open)
    return done
  end
end

return M
