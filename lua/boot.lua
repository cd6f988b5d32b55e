-- boot.lua - what a VM runs first, in a fiber: starts the part that this process plays.
local parts = { host = "stance.server", worker = "stance.worker" }

require(parts[require("host").role]).start()
