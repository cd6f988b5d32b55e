local http, json, router, t = require "http", require "json", require "stance.http", require "stance.schema"
local ws = require "ws"

describe("router", function()
  local server, url, route

  before_each(function()
    route = router.new()
    server = assert(http.serve { listen = "127.0.0.1:0", handler = route:handler() })
    url = server:url()
  end)

  after_each(function() server:close() end)

  local function get(path) return assert(http.get(url .. path)) end

  local function problem(answer)
    assert.equal("application/problem+json", answer.headers["content-type"])
    local body = json.decode(answer.body)
    assert.equal(answer.status, body.status)
    assert.equal(answer.headers["x-request-id"], body.requestId)
    return body
  end

  it("finds the most fixed path first", function()
    for _, path in ipairs { "/", "/jobs/new", "/jobs/:id", "/jobs/:id/artifacts", "/jobs/:id/artifacts/*name", "/*rest" } do
      route.get(path) { handler = function(request) return 200, { path = path, params = request.params } end }
    end
    local cases = {
      { "/", "/", {} }, { "/jobs/new", "/jobs/new", {} }, { "/jobs/7", "/jobs/:id", { id = "7" } },
      { "/jobs/a%2Fb", "/jobs/:id", { id = "a/b" } }, { "/jobs/7/artifacts", "/jobs/:id/artifacts", { id = "7" } },
      { "/jobs/7/artifacts/front/a%20b.png", "/jobs/:id/artifacts/*name", { id = "7", name = "front/a b.png" } },
      { "/else/where", "/*rest", { rest = "else/where" } }, { "/jobs/new/x", "/*rest", { rest = "jobs/new/x" } },
    }
    for _, case in ipairs(cases) do assert.same({ path = case[2], params = case[3] }, json.decode(get(case[1]).body)) end
  end)

  it("answers 404, 405 with Allow, OPTIONS and HEAD itself", function()
    route.get "/a" { handler = function() return 200, "text" end }
    route.post "/a" { handler = function() return 204 end }
    assert.equal("not_found", problem(get "/b").code)
    local answer = assert(http.request { method = "DELETE", url = url .. "/a" })
    assert.same({ 405, "GET, HEAD, OPTIONS, POST" }, { answer.status, answer.headers.allow })
    answer = assert(http.request { method = "OPTIONS", url = url .. "/a" })
    assert.same({ 204, "GET, HEAD, OPTIONS, POST" }, { answer.status, answer.headers.allow })
    answer = assert(http.request { method = "HEAD", url = url .. "/a" })
    assert.same({ 200, "4" }, { answer.status, answer.headers["content-length"] })
  end)

  it("checks parameters, query and body", function()
    route.post "/things/:n" {
      params = t.object { n = t.integer }, query = t.object { limit = t.integer { default = 5, max = 10 } },
      body = t.object { name = t.string, size = t.size { optional = true } },
      handler = function(request) return 200, { request.params.n, request.query.limit, request.body.name } end,
    }
    local answer = assert(http.post(url .. "/things/7?limit=3", { name = "x" }))
    assert.same({ 7, 3, "x" }, json.decode(answer.body))
    answer = problem(assert(http.post(url .. "/things/x", { name = "x" })))
    assert.same({ 422, "invalid", { { path = "params.n", message = 'must be an integer, got "x"' } } },
      { answer.status, answer.code, answer.errors })
    answer = problem(assert(http.post(url .. "/things/1?limit=11&sort=up", { name = "x" })))
    assert.equal(2, #answer.errors)
    answer = problem(assert(http.post(url .. "/things/1", { name = 5, sise = { 1, 1 } })))
    assert.same({
      { path = "body.name", message = "must be a string, got 5" },
      { path = "body.sise", message = 'is not known here; did you mean "size"?' },
    }, answer.errors)
  end)

  it("refuses bodies that are no JSON, of another type, too large", function()
    route.post "/" { body = t.object { a = t.any { optional = true } }, limit = 1000, handler = function() return 204 end }
    local function post(body, media)
      return assert(http.post(url, body, { headers = { ["Content-Type"] = media or "application/json" } })).status
    end
    assert.equal(204, post "{}")
    assert.equal(400, post "{")
    assert.equal(204, post "")
    assert.equal(415, post("a=1", "application/x-www-form-urlencoded"))
    assert.equal(204, post("{}", "application/vnd.x+json; charset=utf-8"))
    assert.equal(413, post('{"a":"' .. ("x"):rep(1000) .. '"}'))
    assert.equal(400, post(("["):rep(90) .. ("]"):rep(90)))
    assert.equal(204, assert(http.request { method = "POST", url = url }).status)
  end)

  it("turns errors into problems by their code", function()
    route.get "/:code" { handler = function(request) return nil, { code = request.params.code, message = "why", retry_after = 2.5 } end }
    local cases = {
      not_found = 404, conflict = 409, exists = 409, invalid = 422, denied = 403, busy = 503, too_large = 413, timeout = 504,
      upstream = 502, strange = 500,
    }
    for code, status in pairs(cases) do
      local answer = get("/" .. code)
      assert.equal(status, answer.status)
      assert.same({ code, "why" }, { problem(answer).code, problem(answer).detail })
    end
    assert.equal("3", get("/busy").headers["retry-after"])
  end)

  it("asks who may", function()
    local asked
    local guarded = router.new { access = function(request, definition)
      asked = definition.scope
      if request.headers.authorization == "Bearer x" then return "ann" end
      return nil, { code = "denied", message = "not you" }
    end }
    guarded.get "/" { scope = "jobs:read", handler = function(request) return 200, request.principal end }
    local other = assert(http.serve { listen = "127.0.0.1:0", handler = guarded:handler() })
    assert.equal(403, assert(http.get(other:url())).status)
    assert.equal("jobs:read", asked)
    assert.equal("ann", assert(http.get(other:url(), { headers = { Authorization = "Bearer x" } })).body)
    other:close()
  end)

  it("serves WebSockets, and plain GET at the same path", function()
    route.ws "/events" {
      query = t.object { after = t.integer { default = 0 } }, protocols = { "v1" },
      handler = function(socket, request) socket:send("from " .. request.query.after) end,
    }
    assert.equal(426, get("/events").status)
    local socket = assert(ws.connect("ws://" .. server:address() .. "/events?after=3", { protocols = "v2, v1" }))
    assert.equal("from 3", (socket:receive(2)))
    assert.equal("v1", socket:protocol())
    assert.is_nil((ws.connect("ws://" .. server:address() .. "/events?after=x")))
    route.get "/events" { handler = function() return 200, "plain" end }
    assert.equal("plain", get("/events").body)
  end)

  it("lists its routes", function()
    route.post "/b" { doc = "B", handler = function() end }
    route.get "/b" { handler = function() end }
    route.get "/a" { handler = function() end }
    local list = {}
    for i, definition in ipairs(route:routes()) do list[i] = definition.method .. " " .. definition.path end
    assert.same({ "GET /a", "GET /b", "POST /b" }, list)
  end)

  it("raises for mistakes in routes", function()
    route.get "/a/:id" { handler = function() end }
    assert.error(function() route.get "/a/:id" { handler = function() end } end)
    assert.error(function() route.get "/a/:name" { handler = function() end } end)
    assert.error(function() route.get "/x" {} end)
    assert.error(function() route.get "/x" { handler = function() end, scop = "x" } end)
    assert.error(function() route.get "x" end)
    assert.error(function() route.get "/x/*rest/more" { handler = function() end } end)
  end)
end)
