--- runner.lua - Busted inside `stance test`: in a fiber, so that specs may wait, with the modules of a host.
local io, os = _G.io, _G.os -- this one runs in a VM that has them

local M = {}

local needs_busted = "`stance test` runs specs with Busted, which is not installed: apt install lua-busted (%s)"

---@class stance.testing.run
---@field paths string[] files and folders of specs
---@field workspace string
---@field filters string[] Lua patterns: only specs whose full name matches one
---@field output? string a name of one of Busted's output handlers

--- Runs specs; their output is Busted's.
---@param options stance.testing.run
---@return { code: integer, message: string|nil } code: 0 when all passed
function M.run(options)
  local found, runner = pcall(require, "busted.runner")
  if not found then return { code = 1, message = needs_busted:format((tostring(runner):match "[^\n]*")) } end
  package.path = ("%s/?.lua;%s/spec/?.lua;%s"):format(options.workspace, options.workspace, package.path)
  local words = { [0] = "stance test", "--pattern=_spec%.lua$" }
  if options.output then words[#words + 1] = "--output=" .. options.output end
  for _, filter in ipairs(options.filters) do words[#words + 1] = "--filter=" .. filter end
  words[#words + 1] = "--"
  for _, path in ipairs(options.paths) do words[#words + 1] = path end
  _G.arg = words
  local quit, code = {}, 0
  os.exit = function(status) -- Busted's last word, which must not be this process's
    code = status == true and 0 or status == false and 1 or status or 0
    error(quit, 0)
  end
  -- Busted raises nil instead of calling os.exit when it is called from a file.
  local call = assert(loadstring("local runner = ... runner { standalone = false }", "=stance test"))
  local ok, why = xpcall(function() call(runner) end, function(raised)
    return raised == quit and quit or debug.traceback(tostring(raised), 2)
  end)
  io.stdout:flush()
  if not ok and why ~= quit then return { code = 1, message = why } end
  return { code = code }
end

return M
