--- generations.lua - which scripts run, which ran before, and how attempts to load others went.
---
--- The texts of every generation that was active are kept in the database (by hash, so that a change of one file costs one text): jobs
--- go on with the scripts that they began with, and `rollback` goes back.
local fiber, host, json = require "fiber", require "host", require "json"
local log, time = require("log").named "generations", require "time"
local err = require "stance.err"

local M = {}

local busy_wait = 15 -- seconds that a load which is under way is waited for
local keep_newest = 100 -- generations without open jobs that are still kept

---@class stance.generations
---@field private db table the db module
---@field private now fun(): number
local Generations = {}
Generations.__index = Generations

---@param options { db: table, now?: fun(): number }
---@return stance.generations
function M.new(options)
  return setmetatable({ db = options.db, now = options.now or time.now }, Generations)
end

--- Keeps the texts of this vm's generation, and forgets the oldest that nobody needs.
---@return true|nil, table|nil err
function Generations:keep()
  local statements, texts = {}, {}
  for _, script in ipairs(host.scripts()) do
    texts[script.path] = script.hash
    statements[#statements + 1] = { "INSERT OR IGNORE INTO scripts (hash, text) VALUES (?, ?)", script.hash, host.script(script.path) }
  end
  local now = self.now()
  statements[#statements + 1] = { [[INSERT INTO generations (name, created_at, manifest, activated_at) VALUES (?, ?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET activated_at = excluded.activated_at]], host.generation(), now, json.encode(texts), now }
  statements[#statements + 1] = { [[DELETE FROM generations WHERE name NOT IN (SELECT name FROM generations ORDER BY activated_at DESC
      LIMIT ?) AND name NOT IN (SELECT generation FROM jobs)]], keep_newest }
  local results, why = self.db.transaction(statements)
  if not results then return nil, why end
  if results[#results].changes > 0 then
    self.db.exec [[DELETE FROM scripts WHERE hash NOT IN (SELECT value FROM generations, json_each(generations.manifest))]]
  end
  return true
end

--- The scripts of a generation that was active once: {path, text} each.
---@param db table the db module
---@param name string
---@return table[]|nil, table|nil err
function M.scripts(db, name)
  local rows, why = db.query([[SELECT entry.key AS path, scripts.text FROM generations, json_each(generations.manifest) AS entry
      LEFT JOIN scripts ON scripts.hash = entry.value WHERE generations.name = ? ORDER BY path]], name)
  if not rows then return nil, why end
  if not rows[1] then return nil, err("not_found", "generation %s is not known", name) end
  for _, script in ipairs(rows) do
    if not script.text then return nil, err("corrupt", "the text of %s in generation %s is lost", script.path, name) end
  end
  return rows
end

--- How a load went, as the API shows it.
local function shown(load)
  return { at = time.iso(load.at), seconds = load.seconds, trigger = load.trigger, actor = load.actor ~= "" and load.actor or nil,
    generation = load.generation, outcome = load.outcome, reason = load.reason }
end

local function audit(db, actor, action, resource, outcome)
  local ok, why = db.exec("INSERT INTO audit (ts, actor, action, resource, outcome) VALUES (?, ?, ?, ?, ?)", time.now(), actor, action,
    resource, outcome)
  if not ok then log.warn("cannot write an audit row", { reason = tostring(why) }) end
end

local function load_scripts(db, options, action)
  local load, why
  local until_time = time.monotonic() + busy_wait
  repeat
    load, why = host.load(options)
    if load or why.code ~= "busy" then break end
    fiber.sleep(0.02)
  until time.monotonic() > until_time
  if not load then return nil, why end
  audit(db, options.actor, action, load.generation or "", load.outcome)
  return shown(load)
end

--- Loads the scripts on disk. The answer tells how it went: `outcome` "active", "unchanged" or "failed", with `reason`.
---@param actor string
---@param trigger? string
---@return table|nil load, table|nil err `busy` when another load takes too long
function Generations:reload(actor, trigger)
  return load_scripts(self.db, { trigger = trigger or "command", actor = actor }, "generation.reload")
end

--- Goes back to a generation by the beginning of its name; without one, to the one that was active before this. The files on disk stay
--- as they are: the next change of them, or `reload`, loads them again.
---@param name? string
---@param actor string
---@return table|nil load, table|nil err
function Generations:rollback(name, actor)
  local rows, why
  if name then
    if not name:match "^%x+$" or #name < 4 then return nil, err("invalid", "'%s' is no generation: give 4 or more hex digits", name) end
    rows, why = self.db.query("SELECT name FROM generations WHERE name LIKE ? || '%' LIMIT 2", name:lower())
  else
    rows, why = self.db.query("SELECT name FROM generations WHERE name <> ? ORDER BY activated_at DESC LIMIT 1", host.generation())
  end
  if not rows then return nil, why end
  if not rows[1] then
    return nil, name and err("not_found", "generation %s is not known; `stance generations` lists them", name)
      or err("not_found", "there is no generation before this one")
  end
  if name and rows[2] then return nil, err("invalid", "%s is the beginning of several generations", name) end
  local scripts
  scripts, why = M.scripts(self.db, rows[1].name)
  if not scripts then return nil, why end
  return load_scripts(self.db, { trigger = "rollback", actor = actor, scripts = scripts }, "generation.rollback")
end

--- What `GET /api/generations` shows.
---@return { active: string, generations: table[], loads: table[] }|nil, table|nil err
function Generations:list()
  local rows, why = self.db.query([[SELECT name, activated_at, (SELECT count(*) FROM jobs WHERE generation = generations.name AND
      status = 'pending') + (SELECT count(*) FROM jobs WHERE generation = generations.name AND status = 'processing' AND
      lease_until IS NOT NULL) AS open_jobs FROM generations ORDER BY activated_at DESC LIMIT ?]], keep_newest)
  if not rows then return nil, why end
  local vms = {}
  for _, vm in ipairs(host.generations()) do vms[vm.name] = vms[vm.name] or vm end
  local list, loads = {}, {}
  for i, row in ipairs(rows) do
    local vm = vms[row.name]
    list[i] = { name = row.name, state = vm and vm.state or "stored", activated_at = time.iso(row.activated_at),
      open_jobs = row.open_jobs, vm_memory_bytes = vm and vm.memory, fibers = vm and vm.fibers }
  end
  for i, load in ipairs(host.loads()) do loads[i] = shown(load) end
  return { active = host.generation(), generations = json.array(list), loads = json.array(loads) }
end

--- Lines for /metrics: which generation is active, and what was wrong with the last load.
---@return string
function M.metrics()
  local function quote(text) return (text:gsub("[\\\"\n]", { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" })) end
  local lines = { "# HELP generation_info The scripts that are active.", "# TYPE generation_info gauge",
    ('generation_info{generation="%s"} 1'):format(host.generation()) }
  local last = host.loads()[1]
  if last and last.outcome == "failed" then
    local first = last.reason:match "^[^\n]*"
    local at, reason = first:match "^(%S-%.lua:%d*):? (.*)$"
    lines[#lines + 1] = "# HELP generation_load_failed The last attempt to load scripts failed: where, and why."
    lines[#lines + 1] = "# TYPE generation_load_failed gauge"
    lines[#lines + 1] = ('generation_load_failed{at="%s",reason="%s"} 1'):format(quote(at or ""), quote(reason or first))
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
