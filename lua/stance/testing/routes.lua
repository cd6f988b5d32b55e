--- routes.lua - calls of a host's routes without a socket.
local json = require "json"
local access = require "stance.access"

local M = {}

--- The router of a host: the scripts of api/, in its own process.
local function router_of(host)
  if host.router then return host.router end
  local process = host.virtual.process
  local routes = process:require("stance.http").new { access = access.by_scopes(process:require "policies.scopes") }
  local app = { jobs = host.virtual.jobs, workers = host.virtual.workers, address = "127.0.0.1:0", stopping = false }
  for _, script in ipairs(process:require("host").scripts()) do
    local name = script.path:match "^api/([%w_-]+)%.lua$"
    if name then process:require("api." .. name)(routes, app) end
  end
  host.router = routes
  return routes
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- As `http.Request` decodes it: a name that comes again has a list.
local function parse_query(text)
  local query = {}
  for pair in text:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    name, value = unescape(name), unescape(value)
    local former = query[name]
    if former == nil then query[name] = value
    elseif type(former) == "table" then former[#former + 1] = value
    else query[name] = { former, value } end
  end
  return query
end

--- What `http.serve` would give to the handler.
local function make_request(method, path, text, headers)
  local bare, query = path:match "^([^?]*)%??(.*)$"
  local request, given = { headers = {} }, false
  for name, value in pairs(headers) do request.headers[name:lower()] = value end
  request.method, request.path, request.query_string, request.query = method, bare, query, parse_query(query)
  request.remote, request.version, request.websocket, request.has_body = "127.0.0.1:0", "1.1", false, text ~= nil
  request.id, request.traceparent = "test", "00-00000000000000000000000000000001-0000000000000001-01"
  function request.body() return text or "" end
  function request.read()
    if given then return nil end
    given = true
    return text
  end
  function request.limit_body() return true end
  function request.set_route() end
  function request.no_deadline() end
  return request
end

--- The body that a client would get.
local function render(value, headers)
  if type(value) == "function" then
    local pieces = {}
    value { write = function(_, bytes)
      pieces[#pieces + 1] = bytes
      return true
    end }
    return table.concat(pieces)
  elseif type(value) == "table" and type(value.read) == "function" then
    local bytes = value:read()
    value:close()
    return bytes or ""
  elseif type(value) == "table" then
    headers["content-type"] = headers["content-type"] or "application/json"
    return json.encode(value)
  end
  return value or ""
end

---@param host stance.testing.host
---@return stance.testing.answer
function M.request(host, method, path, body, given)
  local headers = {}
  for name, value in pairs(given or {}) do headers[name:lower()] = value end
  if body ~= nil and type(body) ~= "string" then
    body, headers["content-type"] = json.encode(body), headers["content-type"] or "application/json"
  end
  host.virtual:counts() -- it is up
  local function run()
    local status, value, more = router_of(host):answer(make_request(method, path, body, headers))
    local answer = { status = status, headers = {} }
    for name, header in pairs(more or {}) do answer.headers[name:lower()] = header end
    answer.body = render(value, answer.headers)
    local kind = answer.headers["content-type"] or ""
    if kind:find "json" and not kind:find "ndjson" then answer.json = json.decode(answer.body) end
    return answer
  end
  return host.machine:inside(host.virtual.process, run)
end

return M
