--- ids.lua - names of things: job ids as people read them.
local crypto, time = require "crypto", require "time"

local M = {}

--- `render_20261120_112233_0f9a3c21`: type, UTC date, UTC time, 8 random hex digits.
---@param job_type string
---@param now number seconds since 1970
---@return string
function M.job(job_type, now)
  return ("%s_%s_%s"):format(job_type, time.format(now, "%Y%m%d_%H%M%S"), crypto.hex(crypto.random(4)))
end

return M
