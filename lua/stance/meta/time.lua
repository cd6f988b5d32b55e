---@meta time

--- Clocks, and times as text. Times are seconds since 1970-01-01 UTC, as numbers; texts are UTC. To wait, take `fiber.sleep`.
local time = {}

--- The wall clock. It may jump: measure durations with `monotonic`.
---@return number seconds
function time.now() end

--- A clock that only goes forward, with no meaning but for differences.
---@return number seconds
function time.monotonic() end

--- "2026-01-31T12:00:00.250Z": milliseconds, the rest cut off. Raises outside the years 0000 to 9999.
---@param when? number  default now
---@return string
function time.iso(when) end

--- Reads RFC 3339: "2026-01-31T12:00:00Z", "2026-01-31 13:00:00.25+01:00"; a date alone is its midnight in UTC. A time of day needs
--- its zone.
---@param text string
---@return number? when
---@return stance.Error? err  code "invalid"
function time.parse_iso(text) end

--- As C's strftime, in UTC: `time.format(nil, "%Y%m%d_%H%M%S")`.
---@param when? number  default now
---@param format string  at most 255 bytes
---@return string
function time.format(when, format) end

return time
