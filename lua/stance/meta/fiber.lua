---@meta fiber

--- Fibers: functions that run side by side and wait without holding anything up.
---
---     local fiber = require "fiber"
---     local task = fiber.spawn(fetch, url)
---     local ok, body = task:join(5)
---
--- A waiting function (`fiber.sleep`, `channel:get`, `http.get`, ...) looks like a plain call; meanwhile other fibers run.
--- Nothing else switches, so that code between two waits needs no locks. A wait raises `{ code = "cancelled" }` when its fiber
--- is cancelled and `{ code = "timeout" }` when its deadline has passed; every later wait does so too, which lets the fiber clean
--- up but not linger. Waiting outside a fiber raises.
local fiber = {}

---@alias fiber.Status "ready"|"running"|"waiting"|"ended"|"failed"

--- What the world does wrong; prints as its message.
---@class stance.Error
---@field code string  "not_found", "timeout", "closed", "cancelled", ...
---@field message string

---@class fiber.Fiber
local Fiber = {}

--- Waits until it is over: `true` and what its function returned, or `false` and what it raised. After `timeout` seconds
--- `nil` and an error with code "timeout"; the fiber runs on. Any number of fibers may join one.
---@param timeout? number  seconds
---@return boolean? ok
---@return any ...
function Fiber:join(timeout) end

--- Ends its present wait, and every further one, with an error of code "cancelled". Nothing happens to one that is over.
---@param reason? string  becomes part of the message
function Fiber:cancel(reason) end

---@return fiber.Status
function Fiber:status() end

--- Its name, after setting it when one is given. Fibers start with the name of who spawned them.
---@param name? string
---@return string
function Fiber:name(name) end

--- The job whose id its log lines, and those of fibers that it spawns, carry; "" for none. Sets it when one is given.
---@param id? string
---@return string
function Fiber:job(id) end

--- The same for the id of the request that it works for.
---@param id? string
---@return string
function Fiber:request(id) end

--- The id of the W3C trace that it works for, 32 hex digits, "" for none; log lines carry it. Sets it when a `traceparent` is given.
---@param traceparent? string
---@return string
function Fiber:trace(traceparent) end

--- A queue between fibers.
---@class fiber.Channel
local Channel = {}

--- Adds a value (anything but nil), waiting while the channel is full.
---@param value any
---@param timeout? number  seconds; 0: do not wait
---@return true? ok
---@return stance.Error? err  code "timeout" or "closed"
function Channel:put(value, timeout) end

--- Takes the oldest value, waiting while there is none.
---@param timeout? number  seconds; 0: do not wait
---@return any? value
---@return stance.Error? err  code "timeout", or "closed" when nothing is left
function Channel:get(timeout) end

--- Nothing more can be put; what is in it can still be taken. Those who wait are told.
function Channel:close() end

---@return integer
function Channel:count() end

---@return boolean
function Channel:is_closed() end

--- Becomes ready, for fiber.select, once its time has come, and stays so.
---@class fiber.Timer
local Timer = {}

--- Runs `fn(...)` in a new fiber, as soon as this one waits. It inherits the ids for log lines, not the deadline.
--- What it raises is kept for `join`, and logged when nobody is joining it at that moment.
---@param fn function
---@param ... any
---@return fiber.Fiber
function fiber.spawn(fn, ...) end

--- The running fiber; nil outside one.
---@return fiber.Fiber?
function fiber.self() end

---@param seconds number
function fiber.sleep(seconds) end

--- Lets the others run.
function fiber.yield() end

---@param capacity? integer  values it holds before `put` waits; default 0: each `put` meets a `get`
---@return fiber.Channel
function fiber.channel(capacity) end

---@param seconds number
---@return fiber.Timer
function fiber.timer(seconds) end

--- Waits for the first of several things: `index, value...` of a channel that has a value, a fiber that is over (as `join`
--- returns it) or a timer whose time has come (`true`). The earlier in the list goes first when several are ready. A closed,
--- empty channel gives `index, nil, err`. After `sources.timeout` seconds: `nil` and an error with code "timeout".
---@param sources { [integer]: fiber.Channel|fiber.Fiber|fiber.Timer, timeout: number? }  at most 64
---@return integer? index
---@return any ...
function fiber.select(sources) end

--- Runs `fn(...)` and returns what it returns. Its waits raise an error with code "timeout" once the seconds, or an earlier
--- deadline around this one, have passed.
---@param seconds number
---@param fn function
---@param ... any
---@return any ...
function fiber.deadline(seconds, fn, ...) end

--- How many fibers of this vm are not over.
---@return integer
function fiber.count() end

---@return fiber.Fiber[]
function fiber.list() end

---@class fiber.View
---@field name string
---@field status fiber.Status
---@field age number  seconds since it was spawned
---@field since number  seconds in its present state
---@field call? string  the call that it waits in: "sleep", "get", "query"
---@field where? string  FILE:LINE of the script that made it
---@field request? string  id of the request that it works for
---@field job? string
---@field trace? string  trace id
---@field vm string
---@field generation? string
---@field traceback? string

--- What the fibers of all vms of this process are at.
---@param options? { traceback: boolean }
---@return fiber.View[]
function fiber.inspect(options) end

return fiber
