--- complaint.lua - something that is tried again and again fails: said once, and once more when it works again.
---
---     local complaint = require("stance.complaint").new(log, "cannot claim jobs")
---     while true do
---       local claims, why = claim()
---       complaint:heed(not claims and why)
---     end
local M = {}

---@class stance.complaint
local Complaint = {}
Complaint.__index = Complaint

---@param log table with `warn` and `info`
---@param what string
---@return stance.complaint
function M.new(log, what) return setmetatable({ log = log, what = what }, Complaint) end

--- How a try went. Another reason than the last is said as well.
---@param why any the error, or nil or false: it worked
function Complaint:heed(why)
  local reason = why and tostring(why) or nil
  if reason == self.reason then return end
  if reason then self.log.warn(self.what, { reason = reason }) else self.log.info(self.what .. ": that is over") end
  self.reason = reason
end

return M
