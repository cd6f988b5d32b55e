---@meta console

--- What the console of a host stands on (see `stance.console`); scripts of their own have little use for it.
---
---     local console = require "console"
---     local session = console.current()          -- whose line this runs for, if one's
---     if session then session:write "nearly done\n" end
---
--- In the host process only: elsewhere nobody is attached.
local console = {}

--- One attached console.
---@class console.Session
local Session = {}

--- Sends text. Waits while more than 1 MiB is unread; code "closed" when the console is gone.
---@param text string
---@return true? ok
---@return stance.Error? err
function Session:write(text) end

--- The fiber, which has not run yet, becomes what an interrupt of the present request ends, whatever it does.
---@param task fiber.Fiber
function Session:guard(task) end

--- Lets a fiber that the request spawned outlive it.
---@param task fiber.Fiber
function Session:unguard(task) end

--- Whether the present request was interrupted, or its console is gone.
---@return boolean
function Session:was_interrupted() end

---@return boolean
function Session:is_open() end

--- Who is at the other end; nil when nobody is any more.
---@return { user: string, uid: integer, pid: integer, number: integer, requests: integer }?
function Session:peer() end

--- Takes the requests of all consoles from now on, instead of whoever did. `handler(session, payload)` runs in a fiber of its own and
--- returns the answer. Code "unsupported" in a process without a console.
---@param options { handler: fun(session: console.Session, payload: string): string }
---@return { close: fun(self) }? registration
---@return stance.Error? err
function console.serve(options) end

--- The console whose request the running fiber belongs to, or belonged to when it was spawned.
---@return console.Session?
function console.current() end

--- Names of the modules that are written in C.
---@return string[]
function console.modules() end

--- The metatable of a value, also one that is locked: to look at, not to touch.
---@param value any
---@return table?
function console.metatable(value) end

--- The texts of the definitions of C modules, by module; empty where they are not installed. Waits.
---@return table<string, string>
function console.definitions() end

return console
