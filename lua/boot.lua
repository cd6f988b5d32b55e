-- boot.lua - what a VM runs first, in a fiber: starts the part that this process plays.
local host = require "host"

if host.role == "worker" then
  require("stance.worker").start()
elseif host.role == "trial" then
  return require("stance.server").try()
else
  require("stance.server").start()
end
