--- render_plan.lua - what a render job will do: names of folders, batches of views, and how far it is. No effects.
local M = {}

--- A name that is safe as a file's in any file system.
---@param name string
---@return string
function M.safe(name)
  local safe = name:gsub("[^%w._-]", "_"):gsub("^%.+", "_"):sub(1, 100)
  return safe ~= "" and safe or "view"
end

--- A safe name for a sample's key, which is cut at its first dot and has 80 letters with its folder: what is long loses its
--- middle, since names differ at their ends.
---@param name string
---@return string
function M.key(name)
  local plain = M.safe(name):gsub("%.", "_")
  return #plain > 39 and plain:sub(1, 20) .. "_" .. plain:sub(-18) or plain
end

--- Safe names, each once.
---@param names string[]
---@return string[]
function M.unique(names)
  local out, taken = {}, {}
  for i, given in ipairs(names) do
    local base, count = M.safe(given), 1
    local name = base
    while taken[name:lower()] do -- some file systems do not tell A from a
      count = count + 1
      name = base .. "-" .. count
    end
    taken[name:lower()], out[i] = true, name
  end
  return out
end

--- The names of the characters' folders: the files' names without ending, safe in any file system, each once.
---@param files string[]
---@return string[]
function M.names(files)
  local stems = {}
  for i, file in ipairs(files) do
    local stem = file:match "([^/\\]*)[/\\]*$":gsub("(.)%.[^.]*$", "%1")
    stems[i] = stem ~= "" and stem or "character"
  end
  return M.unique(stems)
end

---@class stance.render_plan.set whose pictures go into one folder
---@field name string
---@field files string[] of those who are in them

--- The sets of a job: each character alone, or all together.
---@param files string[]
---@param together? boolean
---@return stance.render_plan.set[]
function M.sets(files, together)
  local names, sets = M.names(files), {}
  if together and #files > 1 then return { { name = "together", files = files } } end
  for i, file in ipairs(files) do sets[i] = { name = names[i], files = { file } } end
  return sets
end

---@class stance.render_plan.batch
---@field key string "mannequin/0-3"
---@field set integer its number
---@field name string the set's
---@field first integer the first view, from 1
---@field last integer
---@field before integer views in all earlier batches

--- The batches of a job, set by set.
---@param sets stance.render_plan.set[]
---@param views integer of a set
---@param size integer views a batch
---@return stance.render_plan.batch[]
function M.batches(sets, views, size)
  local out, before = {}, 0
  for number, set in ipairs(sets) do
    for first = 1, views, size do
      local last = math.min(first + size - 1, views)
      out[#out + 1] = { key = ("%s/%d-%d"):format(set.name, first - 1, last - 1), set = number, name = set.name,
        first = first, last = last, before = before }
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
