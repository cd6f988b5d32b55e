---@meta metrics

--- Counters, gauges and histograms of this process, as Prometheus reads them at /metrics.
---
---     local metrics = require "metrics"
---     local ended = metrics.counter { name = "jobs_ended_total", help = "Jobs that ended.", labels = { "status" } }
---     ended:inc { status = "failed" }
---
--- Declaring a name again, with the same type and labels, gives the same metric: a reloaded script counts on. Anything else
--- that does not fit raises: names in another form, other labels, a counter that falls. A metric has at most 1,000 series;
--- further label values are counted together as "other".
local metrics = {}

---@class metrics.Options
---@field name string  letters, digits and `_`; with its unit (`_seconds`, `_bytes`); counters, and no others, end in `_total`
---@field help string  one sentence
---@field labels? string[]  at most 8; keep values few: each combination is a series for ever

---@class metrics.HistogramOptions: metrics.Options
---@field buckets? number[]  upper bounds, rising; default 0.5 ms to 10 s, in seconds

--- A value for each of the metric's labels.
---@alias metrics.Labels table<string, string|number|boolean>

---@class metrics.Counter
local Counter = {}

--- Adds `n` (default 1, never negative). `counter:inc()`, `counter:inc(3)`, `counter:inc({ a = "x" }, 3)`.
---@param labels? metrics.Labels
---@param n? number
---@overload fun(self: metrics.Counter, n: number)
function Counter:inc(labels, n) end

---@param labels? metrics.Labels
---@return number
function Counter:value(labels) end

---@class metrics.Gauge
local Gauge = {}

---@param labels metrics.Labels
---@param value number
---@overload fun(self: metrics.Gauge, value: number)
function Gauge:set(labels, value) end

---@param labels metrics.Labels
---@param delta number  may be negative
---@overload fun(self: metrics.Gauge, delta: number)
function Gauge:add(labels, delta) end

---@param labels? metrics.Labels
---@return number
function Gauge:value(labels) end

---@class metrics.Histogram
local Histogram = {}

---@param labels metrics.Labels
---@param value number  in the unit of the name
---@overload fun(self: metrics.Histogram, value: number)
function Histogram:observe(labels, value) end

---@param options metrics.Options
---@return metrics.Counter
function metrics.counter(options) end

---@param options metrics.Options
---@return metrics.Gauge
function metrics.gauge(options) end

---@param options metrics.HistogramOptions
---@return metrics.Histogram
function metrics.histogram(options) end

---@class metrics.Series
---@field labels string  as they are rendered: `method="GET",status="200"`; "" for none
---@field value number  of a histogram: the sum
---@field count? number  of a histogram: observations
---@field bounds? number[]  of a histogram: upper bounds of its buckets
---@field counts? number[]  of a histogram: observations up to each bound, then all of them

--- The series of a metric as they stand; an empty list when nobody has declared it. Gauges that are read off something when
--- they are rendered are as old as the last rendering, or `metrics.collect()`.
---@param name string
---@return metrics.Series[]
function metrics.read(name) end

--- Brings such gauges up to date.
function metrics.collect() end

--- All metrics of the process, in Prometheus' text format 0.0.4.
---@return string
function metrics.text() end

return metrics
