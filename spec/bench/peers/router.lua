-- router.lua - ours with stance.http: `build/stance-spec --script router.lua PORT`.
local fiber, http = require "fiber", require "http"
local router, t = require "stance.http", require "stance.schema"

local route = router.new()
route.get "/things/:id" { query = t.object { limit = t.integer { default = 50 } },
  handler = function(request) return 200, { id = request.params.id, limit = request.query.limit } end }
route.post "/things" { body = t.object { name = t.string, size = t.size },
  handler = function(request) return 200, { name = request.body.name } end }

assert(http.serve { listen = "127.0.0.1:" .. arg[1], request_limit = 1e9, handler = route:handler() })
fiber.sleep(1e6)
