--- console.lua - the console of a running host: evaluates what people type, for `stance console`.
---
--- Requests are JSON, one at a time a session: `{"op":"hello"|"eval"|"complete", ...}`; answers too. An evaluation runs in a fiber
--- under a guard, so that it can be interrupted whatever it does, against the live modules of this vm. What it assigns to globals
--- stays in the session. Each is kept in the audit table before it begins, and its outcome after it has ended.
local console, db, fiber, host = require "console", require "db", require "fiber", require "host"
local json, log, time = require "json", require("log").named "console", require "time"
local err, evaluate, pretty = require "stance.err", require "stance.console.evaluate", require "stance.console.pretty"
local commands, complete, help = require "stance.console.commands", require "stance.console.complete", require "stance.console.help"

local M = {}

local page_bytes, page_lines, audit_bytes = 32 * 1024, 500, 4096

---@class stance.console
local Console = {}
Console.__index = Console

-- -- Sessions -------------------------------------------------------------------------------------------------------

local function new_state(self)
  local state = {}
  state.globals = evaluate.globals(self.app, {
    --- Prints a value with other limits.
    pp = function(value, options)
      local merged = {}
      for key, wanted in pairs(state.options or {}) do merged[key] = wanted end
      for key, wanted in pairs(options or {}) do merged[key] = wanted end
      print((pretty.text(value, merged)))
    end,
  })
  return state
end

--- What is known of a session in this vm. One that began in an earlier vm is told that its globals went with that.
function Console:state(session, peer)
  local state = self.states[session]
  if state then return state end
  state = new_state(self)
  if peer.requests > 1 then
    state.notice = ("the scripts were replaced (generation %s); globals of this session are gone"):format(host.generation())
  end
  self.states[session] = state
  return state
end

-- -- Audit ----------------------------------------------------------------------------------------------------------

local function actor_of(peer) return ("console:%d/%s/%d"):format(peer.uid, peer.user, peer.pid) end

--- The row of what is about to run; nil where the database cannot take it: the console is what mends such hosts.
local function audit(peer, action, text)
  local actor = actor_of(peer)
  log.info(action, { actor = actor, text = text:sub(1, 200) })
  local result, why = db.exec("INSERT INTO audit (ts, actor, action, resource) VALUES (?, ?, ?, ?)", time.now(), actor, action,
    text:sub(1, audit_bytes))
  if not result then log.warn("cannot audit", { reason = tostring(why), actor = actor }) end
  return result and result.last_id
end

local function audit_outcome(row, outcome, detail)
  if not row then return end
  local ok, why = db.exec("UPDATE audit SET outcome = ?, detail = ? WHERE seq = ?", outcome, detail and detail:sub(1, audit_bytes), row)
  if not ok then log.warn("cannot audit the outcome", { reason = tostring(why) }) end
end

-- -- Answers --------------------------------------------------------------------------------------------------------

local function message_of(why)
  if type(why) == "table" then return tostring(rawget(why, "message") or (pretty.text(why, { depth = 2, items = 10 }))) end
  return tostring(why)
end

local function failure(why, traceback)
  local code = type(why) == "table" and rawget(why, "code")
  return { ok = false, error = { code = type(code) == "string" and code or "error", message = message_of(why), traceback = traceback } }
end

--- As much of a text as one answer shows; the rest is kept for `:more`.
local function page(state, text, all)
  local cut, lines = math.min(#text, all and #text or page_bytes), 0
  if not all then
    for at in text:sub(1, cut):gmatch "()\n" do
      lines = lines + 1
      if lines == page_lines then cut = at - 1 break end
    end
    if cut < #text then
      while cut > 1 and text:byte(cut + 1) >= 128 and text:byte(cut + 1) < 192 do cut = cut - 1 end
    end
  end
  state.rest = cut < #text and text:sub(cut + 1) or nil
  if not state.rest then return text end
  return ("%s\n… %s bytes more: `:more`, or `:more all`"):format(text:sub(1, cut), pretty.count(#state.rest))
end

--- Runs `fn` as what an interrupt of this request ends. What it returns, or what ended it.
local function guarded(session, fn)
  local task = fiber.spawn(fn)
  session:guard(task)
  return task:join()
end

local function show_outcome(self, state, request, outcome)
  if not outcome.ok then return failure(outcome.error, outcome.traceback) end
  if outcome.count > 0 then rawset(state.globals.env, "_", outcome.values[1]) end
  local answer = { ok = true }
  if request.json then
    answer.values = json.array {}
    for i = 1, outcome.count do answer.values[i] = pretty.plain(outcome.values[i]) end
  else
    local text, cut = evaluate.show(outcome, state.options)
    if cut then text = text .. "\n… pp(_, { depth = 8, items = 1000, text = 100000 }) shows more" end
    answer.text = self.page(state, text)
  end
  return answer
end

local function finish(session, row, ok, answer)
  local interrupted = session:was_interrupted()
  if not ok then answer = failure(answer) end
  if answer.ok then
    audit_outcome(row, "ok")
  else
    if interrupted then
      local message = answer.error.message:gsub("^wait:%d+: ", "") -- a wait that was ended: no place in a script
      answer.error, answer.interrupted = { code = "interrupted", message = message }, true
    end
    audit_outcome(row, interrupted and "interrupted" or "error", answer.error.message)
  end
  return answer
end

-- -- Requests -------------------------------------------------------------------------------------------------------

local ops = {}

function ops.hello(self, _, state)
  state.notice = nil
  return { ok = true, version = host.version, generation = host.generation(), pid = host.pid, data_dir = host.data_dir,
    listen = self.app.address }
end

function Console:context(session, state, peer)
  return {
    app = self.app, actor = actor_of(peer), state = state, session = session, options = state.options or {},
    spawn = function(fn)
      local left = fiber.spawn(fn)
      session:unguard(left)
      return left
    end,
    docs = function() return self:documentation() end,
    page = function(text, all) return page(state, text, all) end,
  }
end

local function run_command(self, session, state, peer, request, command, argument)
  local row = audit(peer, command.evaluates and "console.eval" or "console.command", request.text)
  local context = self:context(session, state, peer)
  local ok, answer = guarded(session, function()
    local text, why = command.run(context, argument)
    if not text then return failure(why) end
    return { ok = true, text = command.is_page and text or self.page(state, text) }
  end)
  if context.held then context.held:close() end -- not in the command: no line of it runs after an interrupt
  return finish(session, row, ok, answer)
end

function ops.eval(self, session, state, peer, request)
  local text = request.text
  if type(text) ~= "string" then return failure(err("invalid", "an evaluation needs a text")) end
  state.options = { color = request.color == true, width = tonumber(request.width) or 80 }
  local command, argument = commands.parse(text)
  if command then return run_command(self, session, state, peer, request, command, argument) end
  if argument then return failure(argument) end
  local chunk, why, incomplete = evaluate.compile(text, state.globals.env, request.name)
  if incomplete and not request.whole then return { ok = true, incomplete = true } end
  local row = audit(peer, "console.eval", text)
  if not chunk then
    audit_outcome(row, "error", why)
    return failure(err("syntax", "%s", why))
  end
  return finish(session, row, guarded(session, function()
    return show_outcome(self, state, request, evaluate.run(chunk))
  end))
end

function ops.complete(self, session, state, peer, request)
  local line = type(request.text) == "string" and request.text or ""
  local context = self:context(session, state, peer)
  local candidates, from = complete.candidates(state.globals, line, {
    names = commands.names, argument = function(name) return commands.words(context, name) end,
  })
  return { ok = true, candidates = json.array(candidates), from = from }
end

--- Every documented name of this generation and of the C modules; read once.
function Console:documentation()
  if self.entries then return self.entries end
  local entries = {}
  local function add(text, module) for _, entry in ipairs(help.parse(text, module)) do entries[#entries + 1] = entry end end
  for name, text in pairs(console.definitions() or {}) do add(text, name) end
  for _, script in ipairs(host.scripts()) do
    add(host.script(script.path), (script.path:gsub("%.lua$", ""):gsub("/", ".")))
    fiber.yield()
  end
  table.sort(entries, function(a, b) return a.name < b.name end)
  self.entries = entries
  return entries
end

--- One request of a session: JSON in, JSON out.
function Console:answer(session, payload)
  local peer = session:peer()
  if not peer then return "{}" end
  local decoded, request = pcall(json.decode, payload)
  local op = decoded and type(request) == "table" and ops[request.op]
  if not op then
    return json.encode(failure(err("invalid", decoded and "there is no such request" or "the request is no JSON: " .. tostring(request))))
  end
  local state = self:state(session, peer)
  local answer = op(self, session, state, peer, request)
  if request.op == "eval" then answer.notice, state.notice = state.notice, nil end
  return json.encode(answer)
end

--- print() of what a console runs goes to that console, from wherever it is called.
local function redirect_print()
  local former = print
  rawset(_G, "print", function(...)
    local session = console.current()
    if not session then return former(...) end
    local texts = { ... }
    for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))) end
    session:write(table.concat(texts, "\t") .. "\n")
  end)
end

--- Serves the consoles of this host, instead of whoever did so before.
---@param app stance.app
---@return stance.console|nil
function M.serve(app)
  local self = setmetatable({ app = app, states = setmetatable({}, { __mode = "k" }), page = page }, Console)
  local registration, why = console.serve { handler = function(session, payload) return self:answer(session, payload) end }
  if not registration then
    log.debug("no console", { reason = tostring(why) })
    return nil
  end
  redirect_print()
  return self
end

return M
