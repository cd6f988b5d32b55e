--- kinds.lua - what must hold of a script beyond being Lua, by the folder that it lies in.
local host = require "host"
local guess = require("stance.words").guess
local router, t = require "stance.http", require "stance.schema"
local workflows = require "stance.workflows"

local M = {}

--- Loads the script as everybody does; nil when that fails, which is told.
local function load_script(subject)
  local ok, value = pcall(require, (subject.path:gsub("%.lua$", ""):gsub("/", ".")))
  if ok then return value end
  workflows.forget_half_loaded()
  subject:add_raised(value)
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- -- Workflows ------------------------------------------------------------------------------------------------------

--- A value that a schema accepts, made of defaults and examples; nil when it asks for what only people know.
local function sample(schema)
  local options = schema.options
  if options.example ~= nil then return options.example end
  if options.default ~= nil or options.optional then return nil end
  if schema.kind ~= "object" then return nil end
  local value = {}
  for _, name in ipairs(schema.names) do value[name] = sample(schema.fields[name]) end
  return value
end

--- `has_doc`: the object around it tells what its fields are for.
local function check_params(subject, schema, path, has_doc)
  for _, name in ipairs(schema.names or {}) do
    local field, full = schema.fields[name], path .. "." .. name
    local example = field.options.example
    if not field.options.doc and not has_doc and field.kind ~= "object" then
      subject:add("hint", subject:line_of_field(name), "%s has no `doc`: say what it is for", full)
    end
    if example ~= nil then
      local _, why = field:check(example, { at = full })
      if why then subject:add("warning", subject:line_of_field(name), "its example does not fit: %s", why.message) end
    end
    if field.kind == "object" then check_params(subject, field, full, field.options.doc) end
  end
end

--- `check` and `estimate` are called, `run` is not.
local function call_functions(subject, workflow)
  if workflow.check then
    local ok, good, why = pcall(workflow.check)
    if not ok then subject:add_raised(good, "its check() failed: ")
    elseif good == false or (good == nil and why ~= nil) then
      subject:add("error", subject:line_of_field "check", "its check() says: %s", tostring(why or "no"))
    end
  end
  local params = workflow.params:check(sample(workflow.params) or {})
  if not workflow.estimate or not params then return end
  local ok, estimate = pcall(workflow.estimate, params)
  if not ok then subject:add_raised(estimate, "its estimate() fails with parameters that are allowed: ")
  elseif estimate ~= nil and type(estimate) ~= "table" then
    subject:add("warning", subject:line_of_field "estimate", "its estimate() must return a table, not a %s", type(estimate))
  end
end

local limits = {
  version = { least = 1, whole = true }, retries = { least = 0, whole = true }, concurrency = { least = 1, whole = true },
  timeout = { least = 0.001 },
}

local function check_workflow(subject)
  local name = subject.path:match "^workflows/([%w_-]+)%.lua$"
  if not name then
    return subject:add("warning", 1, "nothing loads this as a workflow: its name may have letters, digits, _ and -, in no further folder")
  end
  local before = #subject.problems
  local workflow = load_script(subject)
  if #subject.problems > before then return end
  local good, why, field = workflows.check_shape(name, workflow)
  if not good then return subject:add("error", subject:line_of_field(field or "return"), "%s", why) end
  for _, key in ipairs(sorted_keys(workflow)) do
    if not workflows.fields[key] then
      local meant = guess(tostring(key), sorted_keys(workflows.fields))
      subject:add("warning", subject:line_of_field(tostring(key)), "a workflow has no field '%s'%s", tostring(key),
        meant and ("; did you mean '%s'?"):format(meant) or "")
    end
  end
  for key, limit in pairs(limits) do
    local value = workflow[key]
    if value and (value < limit.least or (limit.whole and value ~= math.floor(value))) then
      subject:add("error", subject:line_of_field(key), "'%s' must be %s of at least %g, not %g", key,
        limit.whole and "an integer" or "a number", limit.least, value)
    end
  end
  check_params(subject, workflow.params, "params")
  call_functions(subject, workflow)
end

-- -- Routes ---------------------------------------------------------------------------------------------------------

--- Stands for the host's services while routes are made, when they are looked up and not yet used.
local anything = {}
setmetatable(anything, { __index = function() return anything end, __call = function() return anything end })

--- Adds the routes of one script to a router: true, or false and what was raised.
local function add_routes(routes, path)
  local ok, fn = pcall(require, (path:gsub("%.lua$", ""):gsub("/", ".")))
  if not ok then
    workflows.forget_half_loaded()
    return false, fn
  end
  if type(fn) ~= "function" then return false, ("must return a function(route, app), not a %s"):format(type(fn)) end
  return pcall(fn, routes, anything)
end

--- All routes but those of one script; scripts that are broken have problems of their own.
local function other_routes(but)
  local routes = router.new()
  for _, script in ipairs(host.scripts()) do
    if script.path:match "^api/[%w_-]+%.lua$" and script.path ~= but then add_routes(routes, script.path) end
  end
  return routes
end

local function check_routes(subject)
  local routes = other_routes(subject.path)
  local before = #routes:routes()
  local ok, why = add_routes(routes, subject.path)
  if not ok then return subject:add_raised(why) end
  if #routes:routes() == before then subject:add("warning", 1, "adds no route") end
end

-- -- Policies -------------------------------------------------------------------------------------------------------

local function check_scopes(subject, policy)
  local needed = {}
  for _, route in ipairs(other_routes():routes()) do
    if route.scope then needed[route.scope] = true end
  end
  local function is_needed(granted)
    if granted == "*" then return true end
    local prefix = granted:match "^(.*:)%*$"
    for scope in pairs(needed) do
      if scope == granted or prefix and scope:sub(1, #prefix) == prefix then return true end
    end
  end
  for _, principal in ipairs(sorted_keys(policy)) do
    local scopes = policy[principal]
    if type(principal) ~= "string" or not t.list(t.string):check(scopes) then
      local name = tostring(principal)
      return subject:add("error", subject:line_of((name:gsub("%p", "%%%0"))), "'%s' must be a list of scopes", name)
    end
    for _, granted in ipairs(scopes) do
      if not is_needed(granted) then
        local meant = guess(granted, sorted_keys(needed))
        subject:add("warning", subject:line_of(granted:gsub("%p", "%%%0")), "no route asks for the scope '%s'%s", granted,
          meant and ("; did you mean '%s'?"):format(meant) or "")
      end
    end
  end
end

local function check_policy(subject)
  local before = #subject.problems
  local policy = load_script(subject)
  if #subject.problems > before then return end
  if type(policy) ~= "table" then return subject:add("error", 1, "a policy must return a table, not a %s", type(policy)) end
  if subject.path == "policies/scopes.lua" then check_scopes(subject, policy) end
end

-- -- The machine's doctor -------------------------------------------------------------------------------------------

local function check_doctor(subject)
  local before = #subject.problems
  local check = load_script(subject)
  if #subject.problems > before then return end
  if type(check) ~= "table" or type(check.name) ~= "string" or type(check.run) ~= "function" then
    subject:add("error", subject:line_of "%f[%w]return%f[^%w]", "must return { name = \"...\", run = function(report) ... end }")
  end
end

-- -- By folder ------------------------------------------------------------------------------------------------------

local by_folder = { workflows = check_workflow, api = check_routes, policies = check_policy, doctor = check_doctor }
local folders = { "agents", "api", "doctor", "memory", "pods", "policies", "retarget", "stance", "workflows" }

--- Loads the script and checks what its folder asks for.
---@param subject stance.check.subject
function M.check(subject)
  local folder = subject.path:match "^([^/]+)/"
  local check = by_folder[folder]
  if check then return check(subject) end
  local meant = folder and guess(folder, folders)
  if meant and meant ~= folder then
    subject:add("warning", 1, "nothing looks into the folder '%s' by itself; did you mean '%s'?", folder, meant)
  end
  if subject.path ~= "boot.lua" then load_script(subject) end -- that one would start the host
end

return M
