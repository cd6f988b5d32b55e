---@meta profile

--- Where this process spends its CPU time, by sampled stacks.
local profile = {}

---@class profile.Options
---@field seconds? number  how long; default 10, at most 300
---@field what? "lua"|"c"|"all"  Lua stacks of this vm, C stacks of all threads, or both; default "all"
---@field hz? integer  samples a second of CPU time, default 99

---@class profile.Result
---@field folded string  lines "root;caller;callee COUNT", as flame graphs are made of
---@field samples number
---@field lost number  samples that there was no room for

--- Waits that long. Cancelling the fiber ends the profile.
---@param options? profile.Options
---@return profile.Result?
---@return stance.Error? err  "busy" while another profile of this process is taken
function profile.run(options) end

return profile
