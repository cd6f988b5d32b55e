--- ids.lua - names of things: job ids as people read them.
local crypto, time = require "crypto", require "time"

local M = {}

local count = crypto.random(1):byte() -- of ids given: two in one microsecond differ

--- `render_20261120_112233_0f9a3c21`: type, UTC date, UTC time, 8 hex digits. The digits are the microsecond and a count: ids come
--- in the order of time, so that indexes grow at their end, and none comes twice however many are made in a second.
---@param job_type string
---@param now number seconds since 1970
---@return string
function M.job(job_type, now)
  count = (count + 1) % 4096
  return ("%s_%s_%05x%03x"):format(job_type, time.format(now, "%Y%m%d_%H%M%S"), math.floor(now % 1 * 1e6), count)
end

return M
