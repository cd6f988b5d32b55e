---@meta log

--- Structured log lines.
---
---     local log = require("log").named "jobs"
---     log.info("job accepted", { type = "render", views = 48 })
---     local mine = log.with { worker = 3 }
---     mine.warn("slow", { seconds = 4.2 })
---
--- A line is one JSON object on stderr (a readable line on a terminal): ts, level, service, message, requestId and jobId of
--- the running fiber, then the fields, sorted by name. It has at most 4,096 bytes; what is longer is cut and says
--- `"truncated":true`.
---
--- The module itself is a logger; its service is the name of the script's vm ("host", "worker").
---@class log.Logger
local Logger = {}

---@alias log.Level "debug"|"info"|"warn"|"error"

--- By name. Strings, numbers and booleans stay what they are; a table becomes JSON; what has a `__tostring`, such as an error,
--- becomes that text. At most 32; `message`, `level`, `service` and `ts` are renamed (`message_`).
---@alias log.Fields table<string, any>

---@param message string|number|table  a table needs a `__tostring`, as errors have
---@param fields? log.Fields
function Logger.debug(message, fields) end

---@param message string|number|table
---@param fields? log.Fields
function Logger.info(message, fields) end

---@param message string|number|table
---@param fields? log.Fields
function Logger.warn(message, fields) end

---@param message string|number|table
---@param fields? log.Fields
function Logger.error(message, fields) end

--- Whether lines of this level are written: ask before making something that only the log wants.
---@param level log.Level
---@return boolean
function Logger.enabled(level) end

--- A logger that adds these fields, and those of this logger, to each of its lines.
---@param fields log.Fields
---@return log.Logger
function Logger.with(fields) end

--- A logger with the same fields whose lines bear this service.
---@param service string
---@return log.Logger
function Logger.named(service) end

--- Log lines of this process, as text, while they come.
---@class log.Tail
local Tail = {}

--- The lines that came since the last call, at least one; waits for it. Lines that come faster than they are taken are left out,
--- and counted in a last line. Code "closed" when another fiber closes the tail meanwhile.
---@return string? lines
---@return stance.Error? err
function Tail:get() end

--- No more lines; a fiber that waits for them is told.
function Tail:close() end

--- Follows the log of this process, also at levels that are not written. The module only, not loggers made by it.
---@param level? log.Level  least level; "info"
---@param options? { color: boolean? }
---@return log.Tail? tail
---@return stance.Error? err
function Logger.follow(level, options) end

return Logger
