-- terminal.lua - a program on a terminal of its own, for specs that type: script(1) makes the terminal.
--
--     local terminal = require("terminal").open("build/stance console", { LANG = "C.UTF-8" })
--     terminal:type "jobs:co\t"
--     terminal:sees "jobs:counts"
local support = require "support"

local Terminal = {}
Terminal.__index = Terminal

local M = {}

---@param command string
---@param environment table<string, string>
function M.open(command, environment)
  local folder = support.folder()
  local words = { "env TERM=xterm" }
  for name, value in pairs(environment) do words[#words + 1] = ("%s='%s'"):format(name, value) end
  words[#words + 1] = command
  support.write(folder .. "/run", "stty rows 40 cols 100\n" .. table.concat(words, " ") .. '\necho "ended with $?"\n')
  support.shell("mkfifo " .. folder .. "/keys")
  -- A shell of its own, which holds none of our pipes while it waits for us to open the keys.
  support.write(folder .. "/start", ("exec script -qfec 'sh %s/run' /dev/null <%s/keys >%s/screen 2>&1\n"):format(folder, folder, folder))
  support.shell(("sh %s/start >/dev/null 2>&1 </dev/null & echo $! >%s/pid"):format(folder, folder))
  local keys = assert(io.open(folder .. "/keys", "w"))
  keys:setvbuf "no"
  return setmetatable({ folder = folder, keys = keys, seen = 1 }, Terminal)
end

function Terminal:type(text) self.keys:write(text) end

--- All that the program wrote so far, without the escapes that colour and move.
function Terminal:text()
  local file = io.open(self.folder .. "/screen")
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return (text:gsub("\27%[[%d;?]*%a", ""):gsub("\r", ""))
end

--- Waits until `words` come, after what was waited for before; returns what came before them.
function Terminal:sees(words, seconds)
  local at, stop
  local ok = pcall(support.eventually, words, seconds or 10, function()
    at, stop = self:text():find(words, self.seen, true)
    return at
  end)
  if not ok then error(("the terminal did not show '%s' but '%s'"):format(words, self:text():sub(self.seen)), 2) end
  local before = self:text():sub(self.seen, at - 1)
  self.seen = stop + 1
  return before
end

--- Types a line and waits for `words`, then for the next prompt.
function Terminal:enter(line, words)
  self:type(line .. "\r")
  self:sees(words)
  self:sees "stance> "
end

function Terminal:close()
  self.keys:close()
  support.shell(("kill $(cat %s/pid) 2>/dev/null; rm -rf %s"):format(self.folder, self.folder))
end

return M
