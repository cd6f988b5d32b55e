--- bridge.lua - real modules for the fibers of a virtual machine: what waits on the real loop is called outside of them, while their
--- clock stands still.
local M = {}

local wrap

--- The real thing behind each proxy, and the proxy of each thing, as long as somebody holds one.
local reals, proxies = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "kv" })

--- Proxies become what they stand for, in lists and options too.
local function unwrap(value)
  if reals[value] then return reals[value] end
  if type(value) ~= "table" or getmetatable(value) then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = unwrap(inner) end
  return copy
end

local function pack(...) return { n = select("#", ...), ... } end

local function call(machine, fn, ...)
  local arguments, scheduler = pack(...), machine.scheduler
  for i = 1, arguments.n do arguments[i] = unwrap(arguments[i]) end
  local function run() return pack(pcall(fn, unpack(arguments, 1, arguments.n))) end
  local results
  if scheduler.running then
    results = scheduler:await(function(finish)
      scheduler:after(0, function() finish(run()) end)
    end)
  else
    results = run()
  end
  if not results[1] then error(results[2], 0) end
  for i = 2, results.n do results[i] = wrap(machine, results[i]) end
  return unpack(results, 2, results.n)
end

local function make_proxy(machine, value)
  return setmetatable({}, {
    __index = function(_, key) return wrap(machine, value[key]) end,
    __tostring = function() return tostring(value) end,
  })
end

--- `value` for the fibers of `machine`: functions wait as theirs do, objects have their methods, modules are copied.
---@param machine stance.virtual
---@param value any
function M.wrap(machine, value)
  local kind = type(value)
  if kind == "function" then
    return function(...) return call(machine, value, ...) end
  elseif kind == "userdata" then
    local proxy = proxies[value] or make_proxy(machine, value)
    proxies[value], reals[proxy] = proxy, value
    return proxy
  elseif kind == "table" and not getmetatable(value) then
    local copy = {}
    for key, inner in pairs(value) do copy[key] = wrap(machine, inner) end
    return copy
  end
  return value
end

wrap = M.wrap

return M
