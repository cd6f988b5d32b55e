--- commands.lua - what `:name` does in the console. Each `run(context, argument)` returns its text, or `nil, err`.
local fiber, host, json, log, time = require "fiber", require "host", require "json", require "log", require "time"
local err, evaluate, help, pretty = require "stance.err", require "stance.console.evaluate", require "stance.console.help",
  require "stance.console.pretty"
local complete, inspect = require "stance.console.complete", require "stance.inspect"

local M = {}

---@class stance.console.Context
---@field app stance.app
---@field state table the session's: globals, rest, tracer
---@field session console.Session to write to while it runs
---@field actor string for audit rows
---@field spawn fun(fn: function): fiber.Fiber  what outlives the request
---@field held? { close: function } closed when the command is over, interrupted or not
---@field docs fun(): stance.console.Entry[]
---@field options stance.console.PrettyOptions

---@class stance.console.Command
---@field usage string "[STATUS]"
---@field about string
---@field is_page? boolean its text is cut already
---@field evaluates? boolean its argument is Lua: audited as an evaluation
---@field words? string[]|fun(context: stance.console.Context): string[] what its argument may be
---@field run fun(context: stance.console.Context, argument: string): string|nil, table|nil

---@type table<string, stance.console.Command>
local commands = {}

--- Rows as columns; the first is the head.
local function columns(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      row[i] = tostring(cell):gsub("[%c]", " ")
      widths[i] = math.max(widths[i] or 0, #row[i])
    end
  end
  local lines = {}
  for r, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do cells[i] = i < #row and cell .. (" "):rep(widths[i] - #cell) or cell end
    lines[r] = table.concat(cells, "  ")
  end
  return table.concat(lines, "\n")
end

local function bytes(count)
  local units, unit = { "B", "KB", "MB", "GB" }, 1
  while count >= 1000 and unit < #units do count, unit = count / 1000, unit + 1 end
  return (unit > 1 and count < 10 and "%.1f %s" or "%.0f %s"):format(count, units[unit])
end

local function duration(seconds)
  if seconds < 60 then return ("%.1f s"):format(seconds) end
  if seconds < 3600 then return ("%d min %d s"):format(seconds / 60, seconds % 60) end
  return ("%d h %d min"):format(seconds / 3600, seconds / 60 % 60)
end

-- -- Jobs and workers -----------------------------------------------------------------------------------------------

local statuses = { "pending", "processing", "completed", "failed", "cancelled" }

local function progress(job)
  if job.error then return tostring(job.error.message or job.error.code) end
  if job.reason then return job.reason end
  local done = job.progress
  return type(done) == "table" and done.done and done.total and ("%d/%d"):format(done.done, done.total) or ""
end

commands.jobs = {
  usage = "[STATUS]", about = "the newest 30 jobs, of one status", words = statuses,
  run = function(context, argument)
    local list, why = context.app.jobs:list { limit = 30, status = argument ~= "" and argument or nil }
    if not list then return nil, why end
    if #list.jobs == 0 then return "no jobs" end
    local rows = { { "JOB", "STATUS", "CREATED", "ATTEMPT", "" } }
    for _, job in ipairs(list.jobs) do rows[#rows + 1] = { job.job_id, job.status, job.created_at, job.attempt, progress(job) } end
    return columns(rows) .. (list.next and "\n… more: jobs:list { after = " .. list.next .. " }" or "")
  end,
}

local function job_ids(context)
  local ids = {}
  for i, job in ipairs((context.app.jobs:list { limit = 50 } or { jobs = {} }).jobs) do ids[i] = job.job_id end
  return ids
end

commands.job = {
  usage = "ID", about = "one job: its manifest and its last log lines", words = job_ids,
  run = function(context, argument)
    if argument == "" then return nil, err("invalid", "which job? `:jobs` lists them") end
    local job, why = context.app.jobs:get(argument)
    if not job then return nil, why end
    local lines = { (pretty.text(job, context.options)) }
    local page = context.app.jobs:logs(argument, 0, 1000)
    local entries = page and page.entries or {}
    for i = math.max(1, #entries - 9), #entries do
      lines[#lines + 1] = ("%s %-5s %s"):format(entries[i].ts, entries[i].level or "", entries[i].message or "")
    end
    return table.concat(lines, "\n")
  end,
}

commands.workers = {
  usage = "", about = "worker processes",
  run = function(context)
    local rows = { { "WORKER", "PROCESS", "GENERATION", "RESTARTS" } }
    for _, worker in ipairs(context.app.workers:list()) do
      rows[#rows + 1] = { worker.name, worker.pid, worker.generation, worker.restarts }
    end
    return #rows > 1 and columns(rows) or "no workers"
  end,
}

-- -- The host -------------------------------------------------------------------------------------------------------

commands.fibers = {
  usage = "[PATTERN]", about = "fibers of the host and what each waits in, those whose line matches",
  run = function(_, argument)
    if not pcall(string.find, "", argument) then return nil, err("invalid", "'%s' is no Lua pattern", argument) end
    local rows = { { "FIBER", "STATUS", "SINCE", "IN", "WHERE", "FOR" } }
    for _, each in ipairs(inspect.answer "fibers") do
      local row = { each.name, each.status, duration(each.since), each.call or "", each.where or "", each.request or each.job or "" }
      if argument == "" or table.concat(row, " "):find(argument) then rows[#rows + 1] = row end
    end
    return columns(rows)
  end,
}

commands.top = {
  usage = "", about = "how the host is doing, at a glance",
  run = function(context)
    local memory, counts = host.memory(), context.app.jobs:counts() or {}
    local jobs = {}
    for i, status in ipairs(statuses) do jobs[i] = ("%d %s"):format(counts[status] or 0, status) end
    local lines = {
      ("host     stance %s, process %d, up %s"):format(host.version, host.pid, duration(host.uptime())),
      ("scripts  generation %s"):format(host.generation()),
      ("memory   %s resident, %s in scripts"):format(bytes(memory.resident), bytes(memory.vm)),
      ("loop     longest turn of late %.1f ms, %d fibers"):format(host.lag() * 1000, fiber.count()),
      "jobs     " .. table.concat(jobs, ", "),
    }
    return table.concat(lines, "\n") .. "\n" .. commands.workers.run(context, "")
  end,
}

commands.generations = {
  usage = "", about = "the generations of scripts, and how the last loads went",
  run = function(context)
    local all, why = context.app.generations:list()
    if not all then return nil, why end
    local rows = { { "GENERATION", "STATE", "ACTIVE SINCE", "OPEN JOBS" } }
    for _, each in ipairs(all.generations) do rows[#rows + 1] = { each.name, each.state, each.activated_at, each.open_jobs } end
    local loads = { { "LOADED", "BY", "GENERATION", "OUTCOME" } }
    for _, load in ipairs(all.loads) do
      local outcome = load.reason and load.outcome .. ": " .. load.reason or load.outcome
      loads[#loads + 1] = { load.at, load.actor or load.trigger, load.generation, outcome }
    end
    return columns(rows) .. "\n\n" .. columns(loads)
  end,
}

--- How a load went, in words.
local function load_words(load, why)
  if not load then return nil, why end
  if load.outcome == "failed" then return nil, err("invalid", "%s", load.reason) end
  local state = load.outcome == "active" and "active" or "what runs already"
  return ("generation %s is %s (%.2f s)"):format(load.generation, state, load.seconds)
end

commands.reload = {
  usage = "", about = "load the scripts on disk; all goes on as it is when they are not well",
  run = function(context) return load_words(context.app.generations:reload(context.actor, "console")) end,
}

commands.rollback = {
  usage = "[HASH]", about = "go back to the former generation of scripts, or to that one",
  words = function(context)
    local names = {}
    for i, each in ipairs((context.app.generations:list() or { generations = {} }).generations) do names[i] = each.name end
    return names
  end,
  run = function(context, argument)
    return load_words(context.app.generations:rollback(argument ~= "" and argument or nil, context.actor))
  end,
}

-- -- Streams --------------------------------------------------------------------------------------------------------

commands.log = {
  usage = "[LEVEL]", about = "log lines of this process as they come, until Ctrl-C", words = { "debug", "info", "warn", "error" },
  run = function(context, argument)
    local tail, why = log.follow(argument ~= "" and argument or "info", { color = context.options.color })
    if not tail then return nil, why end
    context.held = tail
    while true do
      local line = tail:get()
      if not line or not context.session:write(line) then return "" end
    end
  end,
}

local function event_line(event)
  local whole = json.decode(event.text)
  return ("%s %s %s %s\n"):format(whole.ts:match "T([%d:.]+)" or whole.ts, event.type, event.job_id or "-", json.encode(whole.data))
end

local function follow_events(context, pattern)
  local events, session, cursor = context.app.jobs.events, context.session, context.app.jobs.events:cursor()
  return function()
    while session:is_open() and not context.app.retired do
      local found, next_cursor = events:after(cursor, nil, 5)
      if not found then return end
      cursor = next_cursor
      for _, event in ipairs(found) do
        if pattern == "" or event.text:find(pattern) then session:write(event_line(event)) end
      end
    end
  end
end

commands.trace = {
  usage = "on|off [PATTERN]", about = "shows what happens to jobs while you work, those events that match", words = { "on", "off" },
  run = function(context, argument)
    local what, pattern = argument:match "^(%a+)%s*(.*)$"
    local state = context.state
    if what ~= "on" and what ~= "off" then
      return nil, err("invalid", "`:trace on [PATTERN]` or `:trace off`; it is %s", state.tracer and "on" or "off")
    end
    if not pcall(string.find, "", pattern) then return nil, err("invalid", "'%s' is no Lua pattern", pattern) end
    if state.tracer then state.tracer:cancel "traced no more" end
    state.tracer = nil
    if what == "off" then return "trace is off" end
    state.tracer = context.spawn(follow_events(context, pattern))
    state.tracer:name "console trace"
    return "trace is on; `:trace off` ends it"
  end,
}

-- -- The console itself ---------------------------------------------------------------------------------------------

commands.time = {
  usage = "EXPR", about = "how long a line takes", evaluates = true,
  run = function(context, argument)
    local chunk, why = evaluate.compile(argument, context.state.globals.env)
    if not chunk then return nil, err("invalid", "%s", why) end
    local began, lua = time.monotonic(), host.memory().vm
    local outcome = evaluate.run(chunk)
    local seconds, grown = time.monotonic() - began, host.memory().vm - lua
    if not outcome.ok then return nil, outcome.error end
    local text = evaluate.show(outcome, context.options)
    local note = ("%.3f ms, script memory %s%s; not compiled, as all that runs in a console"):format(seconds * 1000,
      grown < 0 and "-" or "+", bytes(math.abs(grown)))
    return text == "" and note or text .. "\n" .. note
  end,
}

commands.more = {
  usage = "[all]", about = "what the last answer had no room for", words = { "all" }, is_page = true,
  run = function(context, argument)
    local rest = context.state.rest
    if not rest then return nil, err("not_found", "there is no more") end
    return context.page(rest, argument == "all")
  end,
}

commands.env = {
  usage = "", about = "the globals that you made in this session",
  run = function(context)
    return (pretty.text(context.state.globals.env, { color = context.options.color, width = context.options.width, depth = 2 }))
  end,
}

commands.quit = { usage = "", about = "leave, as Ctrl-D does", run = function() return "" end }

local function overview()
  local rows = {}
  for _, name in ipairs(M.names) do rows[#rows + 1] = { ":" .. name .. " " .. commands[name].usage, commands[name].about } end
  return [[
A line is Lua, run in the host's own scripts: an expression shows its values, `_` is the last one.
What you assign to a global stays in this session; `local` lasts a line. An unfinished chunk goes on in the next line.
At hand: jobs, workers, app, every C module by name (fiber, db, fs, ...), stance.NAME, and require.
pp(value, { depth = 8, items = 1000 }) shows more of a value. TAB completes, Ctrl-R searches, Ctrl-C interrupts.

]] .. columns(rows)
end

--- The documentation of a function value, by where it was defined.
local function of_function(fn)
  local info = debug.getinfo(fn, "S")
  for _, script in ipairs(host.scripts()) do
    if info.source == "@" .. script.path then
      local module = script.path:gsub("%.lua$", ""):gsub("/", ".")
      for _, entry in ipairs(help.parse(host.script(script.path) or "", module)) do
        if entry.line == info.linedefined then return help.show(entry) .. ("\n  %s:%d"):format(script.path, info.linedefined) end
      end
      return ("function without a doc comment\n  %s:%d"):format(script.path, info.linedefined)
    end
  end
end

commands.help = {
  usage = "[NAME]", about = "this page, a command, or the doc comment of a function or module",
  words = function(context)
    local words = {}
    for _, entry in ipairs(context.docs()) do words[#words + 1] = entry.name end
    for _, name in ipairs(M.names) do words[#words + 1] = name end
    return words
  end,
  run = function(context, argument)
    if argument == "" then return overview() end
    local command = commands[argument:gsub("^:", "")]
    if command and (argument:sub(1, 1) == ":" or not complete.resolve(context.state.globals, argument)) then
      local name = argument:gsub("^:", "")
      return (":%s %s\n  %s"):format(name, command.usage, command.about)
    end
    local value = complete.resolve(context.state.globals, (argument:gsub("[()]", "")))
    local text = type(value) == "function" and of_function(value)
    if text then return text end
    local found, exact = help.find(context.docs(), (argument:gsub("[()]", "")))
    if exact and #found <= 3 then
      local texts = {}
      for i, entry in ipairs(found) do texts[i] = help.show(entry) end
      return table.concat(texts, "\n\n")
    end
    if #found == 0 then return nil, err("not_found", "nothing is called '%s'", argument) end
    local lines = { exact and "which one?" or ("nothing is called '%s'; there is"):format(argument) }
    for i = 1, math.min(#found, 30) do lines[#lines + 1] = "  " .. found[i].signature end
    return table.concat(lines, "\n")
  end,
}

-- -- Faces ----------------------------------------------------------------------------------------------------------

M.names = {}
for name in pairs(commands) do M.names[#M.names + 1] = name end
table.sort(M.names)

--- The command of a line ":name argument" and the argument; `nil, err` when there is none of that name, nil when the line is Lua.
---@param line string
---@return stance.console.Command|nil command, string|table|nil argument_or_err
function M.parse(line)
  local name, argument = line:match "^%s*:(%a*)%s*(.-)%s*$"
  if not name then return nil end
  if commands[name] then return commands[name], argument end
  local meant = {}
  for _, known in ipairs(M.names) do if name ~= "" and known:sub(1, #name) == name then meant[#meant + 1] = known end end
  if #meant == 1 then return commands[meant[1]], argument end
  if #meant > 1 then return nil, err("invalid", ":%s is short for several: :%s", name, table.concat(meant, ", :")) end
  return nil, err("not_found", "no command :%s; `:help` lists them", name)
end

--- What may follow a command, for completion.
---@param context stance.console.Context
---@param name string
---@return string[]
function M.words(context, name)
  local words = commands[name] and commands[name].words or {}
  return type(words) == "function" and words(context) or words
end

return M
