-- host.lua - what fuzz targets run against: the host's own routes, on its own job service, without workers.
local db, http = require "db", require "http"
local json = require "json"
local access, generations, jobs = require "stance.access", require "stance.generations", require "stance.jobs"
local router = require "stance.http"

local app = { stopping = false, address = "127.0.0.1:0", workers = { list = function() return {} end } }
app.jobs = jobs.new { db = db, lease = 30, max_attempts = 5 }
app.generations = generations.new { db = db }
app.routes = router.new { access = access.by_scopes(require "policies.scopes") }
for _, script in ipairs(require("host").scripts()) do
  local name = script.path:match "^api/([%w_-]+)%.lua$"
  if name then require("api." .. name)(app.routes, app) end
end
app.jobs:open(true)

local schemas = {}
for _, route in ipairs(app.routes:routes()) do if route.body then schemas[#schemas + 1] = route.body end end

--- Text as the body of a route: what a client may send is refused with words, or can be stored and read again.
function _G.fuzz_body(index, text)
  local read, value = pcall(json.decode, text, 64)
  if not read then return end
  local body, why = schemas[index % #schemas + 1]:check(value, { at = "body" })
  if why then
    assert(why.code == "invalid" and #why.errors > 0)
    json.encode { errors = why.errors, detail = why.message }
  elseif body ~= nil then
    json.decode(json.encode { jobs = { { params = body } } })
  end
end

return (assert(http.serve { listen = "127.0.0.1:0", handler = app.routes:handler() }))
