--- http.lua - the router: routes as tables, from which matching, validation, access checks and documentation come.
---
---     local route = require("stance.http").new()
---     route.post "/api/jobs/:id/notes" {
---       doc = "Write a note.", scope = "jobs:write",
---       body = t.object { text = t.string { max = 1000 } },
---       answers = { [201] = note, [422] = route.problem },
---       handler = function(request)
---         return 201, notes.add(request.params.id, request.body.text)
---       end,
---     }
---     require("http").serve { listen = "127.0.0.1:5001", handler = route:handler() }
---
--- Paths: `:name` stands for one segment, a last `*name` for all that is left (slashes and all); both are decoded and given in
--- `request.params`. A fixed segment goes before `:name`, that before `*name`. GET answers HEAD too; OPTIONS and 405 are ours.
---
--- A route: `doc`, `scope` (for the access check), `idempotent` (it heeds Idempotency-Key), `params`, `query`, `body` (schemas of
--- stance.schema), `limit` (bytes of a body that has a schema; 1 MiB), `answers` (schemas by status), `no_deadline`, `handler`.
--- `route.ws path { handler = function(socket, request) ... end }` takes WebSockets (and `protocols`, `message_limit`, `send_budget`,
--- `drop_oldest`, `ping`); a `route.get` of the same path answers those who do not ask for one.
---
--- A handler returns `status, value, headers` (see `http` for what value may be), or `nil, err`: the error's code makes the status,
--- its message the detail. What it raises is a 500 whose reason is in the log only. Each file of lua/api returns
--- `function(route, app)`, which adds its routes.
local json = require "json"
local t = require "stance.schema"

local M = {}

local methods = { get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE" }
local body_limit_default = 1024 * 1024
local body_levels = 64 -- half of what json takes: a body is answered, stored and listed inside of other objects
local key_limit = 255

local known_fields = {
  doc = true, scope = true, idempotent = true, params = true, query = true, body = true, limit = true, answers = true,
  no_deadline = true, handler = true, protocols = true, message_limit = true, send_budget = true, drop_oldest = true, ping = true,
}

-- -- Problems -----------------------------------------------------------------------------------------------------------

local titles = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
  [408] = "Request Timeout", [409] = "Conflict", [411] = "Length Required", [412] = "Precondition Failed",
  [413] = "Content Too Large", [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable",
  [422] = "Unprocessable Content", [426] = "Upgrade Required", [429] = "Too Many Requests", [500] = "Internal Server Error",
  [501] = "Not Implemented", [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
  [507] = "Insufficient Storage",
}

local statuses = {
  not_found = 404, invalid = 422, conflict = 409, exists = 409, denied = 403, unauthorized = 401, too_large = 413, timeout = 504,
  cancelled = 409, closed = 503, busy = 503, rate_limited = 429, no_space = 507, no_memory = 503, io = 500, internal = 500, corrupt = 500,
  unsupported = 501, upstream = 502,
}

--- What an error answer looks like (RFC 9457).
M.problem = t.object {
  type = t.string, title = t.string, status = t.integer, detail = t.string, code = t.string, requestId = t.string,
  errors = t.list(t.object { path = t.string, message = t.string }) { optional = true },
}

--- The answer of an error: `status, body, headers`, as a handler returns them.
---@param request { id: string }
---@param status integer
---@param err { code: string, message: string, errors?: table, retry_after?: number }
---@param headers? table<string, string>
function M.answer_problem(request, status, err, headers)
  local body = {
    type = "about:blank", title = titles[status] or "Error", status = status, detail = tostring(err.message), code = err.code,
    requestId = request.id, errors = err.errors,
  }
  headers = headers or {}
  headers["Content-Type"] = "application/problem+json"
  if status == 503 or status == 429 then headers["Retry-After"] = tostring(math.max(1, math.ceil(err.retry_after or 1))) end
  return status, json.encode(body) .. "\n", headers
end

--- The same for an error as `nil, err` brings it: its code says the status (`err.status` would overrule it).
---@param request { id: string }
---@param err { code: string, message: string, status?: integer }|string
function M.answer_error(request, err)
  if type(err) ~= "table" or not err.code then error(err or "a handler returned nil without an error", 0) end
  return M.answer_problem(request, err.status or statuses[err.code] or 500, err)
end

-- -- Matching -----------------------------------------------------------------------------------------------------------

local function decode(text)
  if not text:find("%", 1, true) then return text end
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- A node of the tree of segments: fixed ones by name, then one `:param`, then one `*tail`.
local function new_node() return { fixed = {} } end

local function find_node(root, path, making)
  local node, names = root, {}
  for segment in path:gmatch "/([^/]*)" do
    if node.is_tail then error("nothing can follow '*' in " .. path, 4) end
    local kind, name = segment:match "^([:*])([%a_][%w_]*)$"
    local slot = kind == ":" and "param" or kind == "*" and "tail"
    if slot then
      names[#names + 1] = name
      node[slot] = node[slot] or making()
      node = node[slot]
      if slot == "tail" then node.is_tail = true end
    else
      if segment:find "[:*]" then error("malformed segment '" .. segment .. "' in " .. path, 4) end
      node.fixed[segment] = node.fixed[segment] or making()
      node = node.fixed[segment]
    end
  end
  return node, names
end

--- Without patterns: the compiler of LuaJIT leaves code that uses gmatch to the interpreter.
local function split(path)
  local segments, count, from = {}, 0, 2
  while true do
    local slash = path:find("/", from, true)
    count = count + 1
    segments[count] = path:sub(from, slash and slash - 1 or -1)
    if not slash then return segments end
    from = slash + 1
  end
end

--- Depth first; the first node that has routes wins. `values` collects what the parameters stand for.
local function match(node, segments, index, values)
  local segment = segments[index]
  if segment == nil then return node.routes and node or nil end
  local fixed = node.fixed[segment]
  if fixed then
    local found = match(fixed, segments, index + 1, values)
    if found then return found end
  end
  if node.param and segment ~= "" then
    local count = #values
    values[count + 1] = decode(segment)
    local found = match(node.param, segments, index + 1, values)
    if found then return found end
    for i = #values, count + 1, -1 do values[i] = nil end
  end
  if node.tail and node.tail.routes and segment ~= "" then
    values[#values + 1] = decode(table.concat(segments, "/", index))
    return node.tail
  end
end

-- -- Requests -----------------------------------------------------------------------------------------------------------

--- What a route's handler gets: its own fields, and those of `http.Request` (`method`, `path`, `headers`, `id`, ...).
---@class stance.Request
---@field params table<string, any>  of the path
---@field query table<string, any>   checked by the route's schema
---@field body any                   checked by the route's schema; nil when it has none
---@field principal string           who asks; "local" on a host without credentials
---@field idempotency_key? string
---@field route table                the route's definition
---@field raw http.Request
local Request = {}

--- The next piece of the body of a route without `body` schema; nil at its end.
---@param most? integer  bytes
function Request:read(most) return self.raw:read(most) end

local request_meta = {
  __index = function(self, name)
    local method = Request[name]
    if method then return method end
    if name == "body" or name == "query" or name == "params" or name == "idempotency_key" or name == "principal" then return nil end
    return self.raw[name]
  end,
}

local function fail(code, message) return t.error { code = code, message = message } end

--- The JSON value of the body, or nil, status, err. Nothing sent: nil.
local function read_json(request, route)
  local raw = request.raw
  if not raw.has_body then return nil end
  local media = (raw.headers["content-type"] or ""):lower():match "^%s*([^;%s]*)"
  if media ~= "application/json" and not media:match "^application/[%w.-]+%+json$" then
    return nil, 415, fail("unsupported", "the body must be application/json")
  end
  local limit = route.limit or body_limit_default
  local text, why = raw:body(limit)
  if not text then
    if why.code == "too_large" then return nil, 413, why end
    return nil, 400, why
  end
  local ok, value = pcall(json.decode, text, body_levels)
  if not ok then return nil, 400, fail("invalid", "the body is not JSON: " .. tostring(value)) end
  return value
end

local function check_body(request, route)
  local value, status, why = read_json(request, route)
  if status then return nil, status, why end
  if value == nil and route.body.kind == "object" then value = {} end
  local body
  body, why = route.body:check(value, { at = "body" })
  if why then return nil, 422, why end
  return body
end

local function check_key(request)
  local key = request.raw.headers["idempotency-key"]
  if key and (#key == 0 or #key > key_limit or key:find "[^%g ]") then
    return nil, fail("invalid", "Idempotency-Key must be 1 to " .. key_limit .. " visible characters")
  end
  return key
end

--- Fills the request in from its schemas. Returns true, or nil, status, err.
local function prepare(request, route)
  local why, status
  if route.params then
    request.params, why = route.params:check(request.params, { at = "params", coerce = true })
    if why then return nil, 422, why end
  end
  if route.query then
    request.query, why = route.query:check(request.raw.query, { at = "query", coerce = true })
    if why then return nil, 422, why end
  else
    request.query = request.raw.query
  end
  if route.idempotent then
    request.idempotency_key, why = check_key(request)
    if why then return nil, 400, why end
  end
  if route.body then
    request.body, status, why = check_body(request, route)
    if why then return nil, status, why end
  end
  return true
end

-- -- Answering ----------------------------------------------------------------------------------------------------------

local function allowed(node)
  local list = {}
  for method in pairs(node.routes) do
    if method == "WS" then
      if not node.routes.GET then list[#list + 1] = "GET" end
    else
      list[#list + 1] = method
      if method == "GET" then list[#list + 1] = "HEAD" end
    end
  end
  list[#list + 1] = "OPTIONS"
  table.sort(list)
  return table.concat(list, ", ")
end

local function answer(request, status, value, headers)
  if status == nil then return M.answer_error(request, value) end
  return status, value, headers
end

--- The first of the client's subprotocols that the route speaks.
local function choose_protocol(request, route)
  local offered = request.raw.headers["sec-websocket-protocol"]
  for name in (offered or ""):gmatch "[^%s,]+" do
    for _, known in ipairs(route.protocols or {}) do if name == known then return name end end
  end
end

local function serve_websocket(request, route)
  local protocol = choose_protocol(request, route)
  local socket = request.raw:upgrade {
    protocol = protocol, message_limit = route.message_limit, send_budget = route.send_budget, drop_oldest = route.drop_oldest,
    ping = route.ping,
  }
  if socket then route.handler(socket, request) end -- else the handshake was wrong, and was answered so
end

---@class stance.Router
---@field problem stance.Schema
local Router = {}

--- Answers one request of `http.serve`.
---@param raw http.Request
function Router:answer(raw)
  local values = {}
  local node = match(self.root, split(raw.path), 1, values)
  if not node then return M.answer_problem(raw, 404, fail("not_found", "there is nothing at " .. raw.path)) end
  local method = raw.method
  local route = raw.websocket and node.routes.WS or node.routes[method == "HEAD" and "GET" or method]
  if not route then
    local headers = { Allow = allowed(node) }
    if method == "OPTIONS" then return 204, nil, headers end
    if node.routes.WS and method == "GET" then
      headers.Upgrade, headers.Connection = "websocket", "Upgrade"
      return M.answer_problem(raw, 426, fail("invalid", "this is for WebSockets"), headers)
    end
    return M.answer_problem(raw, 405, fail("invalid", method .. " is not for " .. node.path), headers)
  end
  raw:set_route(node.path)
  local params = {}
  for i, name in ipairs(route.names) do params[name] = values[i] end
  local request = setmetatable({ raw = raw, route = route, params = params }, request_meta)
  local principal, why = self.access(request, route)
  if not principal then return M.answer_error(request, why) end
  request.principal = principal
  local ok, status
  ok, status, why = prepare(request, route)
  if not ok then return M.answer_problem(request, status, why) end
  if route.is_websocket then return serve_websocket(request, route) end
  if route.no_deadline then raw:no_deadline() end
  return answer(request, route.handler(request))
end

--- The function for `http.serve { handler = ... }`.
---@return fun(request: http.Request): integer, any, table?
function Router:handler()
  return function(raw) return self:answer(raw) end
end

--- All routes, ordered by path and method, for documentation: `{ method, path, doc, scope, params, query, body, answers, ... }`.
---@return table[]
function Router:routes()
  local list = {}
  for i, route in ipairs(self.list) do list[i] = route end
  table.sort(list, function(a, b)
    if a.path ~= b.path then return a.path < b.path end
    return a.method < b.method
  end)
  return list
end

local function local_principal() return "local" end

local function check_definition(definition, path)
  if type(definition) ~= "table" then error("a route is a table", 4) end
  for key in pairs(definition) do
    if not known_fields[key] then error("a route has no field '" .. tostring(key) .. "' (" .. path .. ")", 4) end
  end
  if type(definition.handler) ~= "function" then error("the route " .. path .. " needs a handler", 4) end
  for _, part in ipairs { "params", "query", "body" } do
    if definition[part] and not t.is_schema(definition[part]) then error(part .. " of " .. path .. " must be a schema", 4) end
  end
end

local function add(router, method, path, definition)
  check_definition(definition, path)
  local node, names = find_node(router.root, path, new_node)
  node.routes, node.path = node.routes or {}, node.path or path
  if node.path ~= path then error(path .. " and " .. node.path .. " are the same path", 3) end
  if node.routes[method] then error("there is a route " .. method .. " " .. path .. " already", 3) end
  local route = { method = method, path = path, names = names, is_websocket = method == "WS" }
  for key, value in pairs(definition) do route[key] = value end
  node.routes[method] = route
  router.list[#router.list + 1] = route
end

local function adder(router, method)
  return function(path)
    if type(path) ~= "string" or path:sub(1, 1) ~= "/" then error("a route's path begins with '/'", 2) end
    return function(definition) add(router, method, path, definition) end
  end
end

--- A router without routes. `access(request, route)` says who asks, or nil and an error (code "denied", "unauthorized", ...);
--- without it everybody is "local".
---@param options? { access?: fun(request: stance.Request, route: table): string?, table? }
---@return stance.Router
function M.new(options)
  local router = setmetatable({ root = new_node(), list = {}, problem = M.problem }, { __index = Router })
  router.access = options and options.access or local_principal
  for name, method in pairs(methods) do router[name] = adder(router, method) end
  router.ws = adder(router, "WS")
  return router
end

return M
